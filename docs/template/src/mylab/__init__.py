"""What our laboratory adds to jaxscale: one file for each thing."""
