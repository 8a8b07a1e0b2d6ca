"""A store from a stranger: opening it gives a result or a refusal, runs nothing, writes nothing, takes little room and time."""

import codecs
import contextlib
import functools
import io
import json
import math
import os
import pickle
import resource
import shutil
import signal
import sys
import time
import tracemalloc  # noqa: F401  (pytest's, when it tells of what could not be raised)
import warnings
import zipfile
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from walks import walk

import jaxscale as js
from jaxscale.engine.store import manifest as manifests_of

ROOM, SECONDS = 400 * 2**20, 5.0
MANY = 4 * 10**8  # things of no size: enough to be slow, few enough for this test to end where they are counted one by one
FORBIDDEN = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pickle.", "exec", "marshal.", "tempfile.", "pty.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")
for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
    codecs.lookup(name)  # is imported now, so that opening a store of such text imports nothing
MEMBERS = ("ids", "bucket", "diverged_at", "cell", "low", "high", "diverged", "censored")


def run(store, **more):
    common = dict(grid={"rate": [0.1, 0.2]}, static={"kind": [0, "a"]}, seeds=4, times=[0, 2, 9], width=2)
    return js.sweep(walk, store=store, devices=jax.devices()[:1], progress=False, **(common | more))


def signed(manifest):
    """With the checksum of whoever altered it: a stranger can count too."""
    return manifests_of.signed({key: value for key, value in manifest.items() if key != "sha256"})


# what an opening may do


class Forbidden(BaseException):
    """Not an Exception, so that nothing handles it by mistake."""


class Watch:
    """While on: writing, executing, 400 MB, or two seconds are errors."""

    on = False

    def hook(self, event, arguments):
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            if set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                raise Forbidden(f"opened {path} to write")
        elif event.startswith(FORBIDDEN) and not event.startswith(HARMLESS):
            raise Forbidden(f"{event} {arguments}"[:200])

    def start(self):
        self.limits = resource.getrlimit(resource.RLIMIT_AS)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        self.handler = signal.signal(signal.SIGPROF, self.too_long)
        resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, self.limits[1]))
        signal.setitimer(signal.ITIMER_PROF, SECONDS, 0.1)  # again and again: a finaliser swallows what is raised in it
        self.on = True

    def stop(self):
        self.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, self.limits)
        signal.signal(signal.SIGPROF, self.handler)

    def too_long(self, *_):
        raise Forbidden(f"took over {SECONDS} s of the processor")


WATCH = Watch()
sys.addaudithook(WATCH.hook)


def everything_below(folder):
    """What anybody could have changed."""
    found = {}
    for path in folder.rglob("*"):
        facts = path.lstat()
        found[path] = (facts.st_mode, facts.st_size, facts.st_mtime_ns)
    return found


def opened(store, use=js.load):
    """What became of opening a store: a result, or a refusal. Anything else fails here."""
    before = everything_below(store.parent)
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged pieces are warned of, strange numbers by numpy
            WATCH.start()
            found = use(store)
    except js.StoreError as error:
        found = error
        assert str(error)
    finally:
        WATCH.stop()
    assert time.process_time() - began < SECONDS
    assert everything_below(store.parent) == before
    assert isinstance(found, xarray.Dataset | js.StoreError)
    return found


# a store to spoil


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """{kind: store} of plain runs, and of moments with quantiles; opened once, so that all imports are done."""
    folder = tmp_path_factory.mktemp("honest")
    run(folder / "runs")
    run(folder / "moments", reduce="quantiles")
    for kind in ("runs", "moments"):
        js.load(folder / kind)
        opened(folder / kind)
    return {kind: folder / kind for kind in ("runs", "moments")}


@pytest.fixture(scope="module")
def spare(stores, tmp_path_factory):
    """{kind: a copy that is spoilt again and again}."""
    folder = tmp_path_factory.mktemp("spare")
    return {kind: shutil.copytree(store, folder / kind / "store") for kind, store in stores.items()}


@pytest.fixture
def store(stores, tmp_path):
    return shutil.copytree(stores["runs"], tmp_path / "around" / "store")


def pieces(store):
    return sorted((store / "pieces").glob("*.npz"))


def arrays_of(piece):
    with np.load(piece) as found:
        return {name: found[name] for name in found.files}


def npy(array, version=None):
    """Bytes of one array, objects included."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version, allow_pickle=True)
    return buffer.getvalue()


def header(text, body=b"", version=(1, 0)):
    """Bytes of an array file with this text for a header."""
    text = text.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2 if version == (1, 0) else 4, "little") + text + body


def described(descr, shape, body=b"", **more):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", body, **more)


def zipped(members, method=zipfile.ZIP_STORED):
    """A zip of (name, array or bytes of one), in order, names repeated as asked."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method, compresslevel=1) as file:
        warnings.simplefilter("ignore")  # duplicate names
        for name, value in members:
            file.writestr(f"{name}.npy", value if isinstance(value, bytes) else npy(value))
    return buffer.getvalue()


def put(piece, content):
    """A piece that its mark vouches for."""
    content = zipped(content.items()) if isinstance(content, dict) else content
    piece.write_bytes(content)
    piece.with_suffix(".done").write_text(sha256(content).hexdigest())


# manifests


def deep(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def axis(values, dtype="float32"):
    return {"values": values, "dtype": dtype}


def changed(manifest, path, value):
    """A copy with the entry at a path of keys replaced."""
    manifest = deepcopy(manifest)
    *way, last = path
    inner = manifest
    for key in way:
        inner = inner[key]
    inner[last] = value
    return manifest


def axes(*names_and_lengths):
    return {f"x{i}": axis(list(range(n)), "int32") for i, n in enumerate(names_and_lengths)}


GRID, STATIC, SEEDS = ("request", "grid"), ("request", "static"), ("request", "seeds")
MANIFESTS = {
    "10**18 seeds": (SEEDS, {"seed": 10**18}),
    "2**63 seeds": (SEEDS, {"seed": 2**63}),
    "10**30 seeds": (SEEDS, {"seed": 10**30}),
    "crossed seeds that wrap around": (SEEDS, {"data": 2**32, "init": 2**32}),
    "seeds that wrap around with an axis": (SEEDS, {"seed": 2**63 - 1}),
    "negative seeds": (SEEDS, {"seed": -1}),
    "seeds of NaN": (SEEDS, {"seed": math.nan}),
    "seeds of infinity": (SEEDS, math.inf),
    "64 axes of two values": (GRID, axes(*[2] * 64)),
    "62 axes of two values": (GRID, axes(*[2] * 62)),
    "70 axes of one value": (GRID, axes(*[1] * 70)),
    "10**18 cells": (GRID, axes(*[1000] * 6)),
    "ten million buckets": (STATIC, {f"s{i}": list(range(10)) for i in range(7)}),
    "10**20 buckets": (STATIC, {f"s{i}": list(range(10)) for i in range(20)}),
    "70 static axes": (STATIC, {f"s{i}": [0] for i in range(70)}),
    "an axis named as an observable": (GRID, {"position": axis([0.5])}),
    "a static axis named as an observable": (STATIC, {"position": [1]}),
    "an axis named time": (GRID, {"time": axis([0.5])}),
    "an axis with a lone surrogate": (GRID, {"\ud800": axis([0.5])}),
    "a static axis with a lone surrogate": (STATIC, {"\udfff": [1]}),
    "a static value with a lone surrogate": (STATIC, {"kind": ["\ud800"]}),
    "a static axis of everything": (
        STATIC,
        {"kind": [None, True, 2, 0.5, "\0", "<script>alert(1)</script>", math.nan, 10**30]},
    ),
    "static values of infinity": (STATIC, {"kind": [math.inf, -math.inf, 1e308, 10**400]}),
    "static values that float32 cannot hold": (STATIC, {"kind": [1e300, 1.5e300]}),
    "an axis of values that float32 cannot hold": (GRID, {"rate": axis([1e300])}),
    "an axis of whole numbers that int32 cannot hold": (GRID, {"rate": axis([10**18], "int32")}),
    "an axis of NaN": (GRID, {"rate": axis([math.nan])}),
    "an axis of objects": (GRID, {"rate": axis([0], "object")}),
    "an axis of a type that is no text": (GRID, {"rate": axis([0], ["int32"])}),
    "an axis of lists": (GRID, {"rate": axis([[0]])}),
    "an axis up the tree": (GRID, {"../../../etc/passwd": axis([0.5])}),
    "an axis with a nul": (GRID, {"a\0b": axis([0.5])}),
    "an axis without a name": (GRID, {"": axis([0.5])}),
    "no seeds": (SEEDS, {}),
    "a request that is a list": (("request",), []),
    "units that are a list": (("request", "units"), [["x", "y"]]),
    "units of text": (("request", "units"), {"position": "ab"}),
    "units of markup": (("request", "units"), {"position": ["<script>alert(1)</script>", "\0"]}),
    "units of a lone surrogate": (("request", "units"), {"position": ["\ud800", "\udfff"]}),
    "times that decrease": (("contract", "times"), [3, 2, 1]),
    "times beyond everything": (("contract", "times"), [0, 10**30]),
    "times of flags": (("contract", "times"), [False, True]),
    "other times than the pieces'": (("contract", "times"), [0, 1]),
    "no times": (("contract", "times"), []),
    "moments that are none": (("contract", "reduce"), True),
    "moments of another kind": (("contract", "reduce"), {"a": [math.nan]}),
    "a contract with a lone surrogate": (("contract", "\ud800"), "\ud800"),
    "a width of 10**18": (("buckets", '{"kind": 0}', "width"), 10**18),
    "a width of text": (("buckets", '{"kind": 0}', "width"), "../.."),
    "a bucket that is text": (("buckets", '{"kind": 0}'), "../.."),
    "buckets that are a list": (("buckets",), [1]),
    "shared by nobody": (("request", "share"), ["nobody"]),
    "shared by everybody": (("request", "share"), ["rate", "rate", "kind"]),
}
TEXTS = {
    "nothing": "",
    "a nul": "\0",
    "a byte order mark": "\ufeff{}",
    "null": "null",
    "a number": "2",
    "a number that is too long": '{"format": ' + "9" * 5000 + "}",
    "an exponent": '{"format": 1e999999999}',
    "infinity": '{"format": -Infinity}',
    "brackets": "[" * 100_000,
    "braces": '{"a":' * 100_000,
    "twice the same key": '{"format": 3, "format": 3, "contract": {}, "contract": [], "request": {}, "buckets": {}}',
}


@pytest.mark.parametrize("path, value", MANIFESTS.values(), ids=MANIFESTS)
@pytest.mark.parametrize("kind", ["runs", "moments"])
def test_manifest(spare, monkeypatch, kind, path, value):
    """One entry of a manifest is strange."""
    store = spare[kind]
    manifest = store / "manifest.json"
    good = manifest.read_text()
    small_machine(monkeypatch)
    try:
        manifest.write_text(json.dumps(signed(changed(json.loads(good), path, value))))
        opened(store)
    finally:
        manifest.write_text(good)


def small_machine(monkeypatch):
    """64 MB are free, so that what is said to fit must fit the room that an opening has here."""
    for name in ("jaxscale.engine.machine.devices", "jaxscale.engine.keep.dataset"):
        monkeypatch.setattr(sys.modules[name], "memory_bytes", lambda devices: 64 * 2**20 // len(devices), raising=False)


def test_what_is_said_to_fit_fits(store, monkeypatch):
    """Thirty million runs that nobody has made yet would be 120 MB of results; finding their places must not take gigabytes."""
    small_machine(monkeypatch)
    shutil.rmtree(store / "pieces")
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["contract"]["times"], manifest["request"]["static"] = [0], {"kind": [0]}
    manifest["request"]["seeds"] = {"seed": 15 * 10**6}
    (store / "manifest.json").write_text(json.dumps(signed(manifest)))
    opened(store)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_manifest_of_other_text(store, text):
    (store / "manifest.json").write_text(text)
    assert isinstance(opened(store), js.StoreError)


@pytest.mark.parametrize("where", [("contract", "source"), ("request", "units"), ("request", "more"), ("buckets", "more")])
def test_manifest_nested_as_deep_as_it_can_be_read(store, where):
    """Whatever depth the reader of JSON takes, the rest takes or refuses."""
    manifest = json.loads((store / "manifest.json").read_text())
    text = json.dumps(changed(manifest, where, "HERE"))
    for depth in [*range(10, 700, 99), *range(700, 1100, 9)]:
        deep = text.replace('"HERE"', "[" * depth + "]" * depth)
        with contextlib.suppress(RecursionError):
            deep = json.dumps(signed(json.loads(deep)))
        (store / "manifest.json").write_text(deep)
        opened(store)


def test_manifest_of_many_bytes(store):
    with open(store / "manifest.json", "wb") as file:
        file.truncate(10**12)  # takes no room on the disk
    assert "no jaxscale manifest has" in str(opened(store))


def no_file(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def itself(path):
    path.unlink()
    path.symlink_to(path.name)


def enormous(path):
    with open(path, "wb") as file:
        file.truncate(10**12)


@pytest.mark.parametrize("spoil", [no_file, pipe, endless, itself])
def test_manifest_that_is_no_file(store, spoil):
    spoil(store / "manifest.json")
    assert isinstance(opened(store), js.StoreError)


@pytest.mark.parametrize("suffix", [".npz", ".done"])
@pytest.mark.parametrize("spoil", [no_file, pipe, endless, itself, enormous])
def test_piece_that_is_no_file(store, spoil, suffix):
    spoil(pieces(store)[0].with_suffix(suffix))
    found = opened(store)
    assert isinstance(found, js.StoreError) or found.position.isnull().any()


def test_folder_of_pieces_that_is_a_file(store):
    shutil.rmtree(store / "pieces")
    (store / "pieces").write_text("in the way")
    opened(store)


# pieces


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("bang",)


def invalid_text(arrays):
    """Text of code points that do not exist."""
    return described("'<U1'", "()", (0x110000).to_bytes(4, "little"))


@functools.cache
def compressed_bomb():
    return zipped([("ids", bytes(2**28))], zipfile.ZIP_DEFLATED)


def overlapping(arrays):
    """A zip whose table of contents has the same stored megabyte ten thousand times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ids.npy", npy(np.zeros(2**17, np.uint64)))
        file.filelist *= 10_000
        file._didModify = True
    return buffer.getvalue()


def with_member(name, value):
    return lambda arrays: zipped([*((k, v) for k, v in arrays.items() if k != name), (name, value)])


def without(*names):
    return lambda arrays: {k: v for k, v in arrays.items() if k not in names}


ANY = {
    "random bytes": lambda arrays: np.random.default_rng(0).bytes(1000),
    "nothing": lambda arrays: b"",
    "an empty zip": lambda arrays: zipped([]),
    "a zip of something else": lambda arrays: zipped([("readme", b"hello")]),
    "compressed": lambda arrays: zipped(arrays.items(), zipfile.ZIP_DEFLATED),
    "a compressed bomb": lambda arrays: compressed_bomb(),
    "a zip in a zip": lambda arrays: zipped([("ids", zipped(arrays.items()))]),
    "overlapping members": overlapping,
    "duplicate names": lambda arrays: zipped([*arrays.items(), *arrays.items(), ("ids", np.zeros(3))]),
    "ids of objects": with_member("ids", np.array([Bomb()] * 3, object)),
    "a bucket of objects": with_member("bucket", np.array(Bomb(), object)),
    "objects inside records": with_member("ids", np.zeros(3, [("a", "O")])),
    "a bare pickle": lambda arrays: pickle.dumps(Bomb()),
    "an array that is no member of a zip": lambda arrays: npy(arrays["ids"]),
    "names up the tree": lambda arrays: zipped([(f"../../../{k}", v) for k, v in arrays.items()]),
    "names of the root": lambda arrays: zipped([*arrays.items(), ("/etc/x", np.zeros(3)), ("", np.zeros(3))]),
    "no ids": without("ids"),
    "no bucket": without("bucket"),
    "only ids and bucket": lambda arrays: {"ids": arrays["ids"], "bucket": arrays["bucket"]},
    "signed ids": lambda arrays: arrays | {"ids": arrays["ids"].astype(np.int64)},
    "swapped ids": lambda arrays: arrays | {"ids": arrays["ids"].astype(">u8")},
    "ids of fractions": lambda arrays: arrays | {"ids": arrays["ids"].astype(np.float64)},
    "ids in a table": lambda arrays: arrays | {"ids": arrays["ids"][:, None]},
    "one id too few": lambda arrays: arrays | {"ids": arrays["ids"][1:]},
    "one id": lambda arrays: arrays | {"ids": arrays["ids"][0]},
    "no runs": lambda arrays: {k: v[:0] if v.ndim else v for k, v in arrays.items()},
    "the same run over and over": lambda arrays: arrays | {"ids": np.repeat(arrays["ids"][:1], len(arrays["ids"]))},
    "a bucket of bytes": lambda arrays: arrays | {"bucket": np.array(b"{}")},
    "a bucket of several": lambda arrays: arrays | {"bucket": np.array(["{}"] * len(arrays["ids"]))},
    "a bucket with a lone surrogate": lambda arrays: arrays | {"bucket": np.array("\ud800")},
    "a bucket of no characters": lambda arrays: arrays | {"bucket": np.array("../../..")},
    "a bucket of invalid characters": lambda arrays: with_member("bucket", invalid_text(arrays))(arrays),
    "an extra array of text": lambda arrays: arrays | {"extra": np.array(["<script>"] * len(arrays["ids"]))},
    "an extra array of dates": lambda arrays: arrays | {"extra": np.zeros(len(arrays["ids"]), "M8[s]")},
    "an extra array of records": lambda arrays: arrays | {"extra": np.zeros(len(arrays["ids"]), [("a", "f4", (2,))])},
    "an extra cell": lambda arrays: arrays | {"cell": np.zeros(len(arrays["ids"]), np.uint64)},
    "an extra observable": lambda arrays: arrays | {"observed/more": np.zeros((len(arrays["ids"]), 3))},
    "extra moments": lambda arrays: arrays | {"moments/more": np.zeros((len(arrays["ids"]), 3, 7))},
    "an extra sketch": lambda arrays: arrays | {"sketch/more": np.zeros((len(arrays["ids"]), 3, 9), np.uint32)},
}
HEADERS = {
    "a huge shape": described("'<u8'", "(10**18,)".replace("10**18", str(10**18))),
    "a huge shape of nothing": described("'<u8'", f"(0, {10**30})"),
    "a shape of nothing that wraps around": described("'<u8'", f"(0, {2**63})"),
    "a shape of nothing that just fits": described("'<u8'", f"(0, {2**62})"),
    "a product that wraps around": described("'<u8'", f"({2**32}, {2**32})"),
    "a negative shape": described("'<u8'", "(-1, -3)", bytes(24)),
    "a shape of flags": described("'<u8'", "(True, True)", bytes(8)),
    "70 dimensions": described("'<u8'", f"({'1, ' * 70})", bytes(8)),
    "a terabyte of empty text": described("'<U0'", f"({10**12},)"),
    "a gigabyte of empty text": described("'<U0'", f"({2 * 10**8},)"),
    "a terabyte of empty bytes": described("'|S0'", f"({10**12},)"),
    "very many empty records": described("'|V0'", f"({MANY},)"),
    "very many records without fields": described("[]", f"({MANY},)"),
    "text that is no header": header("hello"),
    "a call": header("__import__('os').mkdir('bang')"),
    "an open bracket": header("{'descr': ((("),
    "an open quote": header("{'descr': '''"),
    "an indent": header("{\n  1\n 2"),
    "an escape": header(r"{'descr': '\d', 'fortran_order': False, 'shape': (), }"),
    "a number of Python 2": described("'<u8'", "(1L,)", bytes(8)),
    "a nul in the header": header("\0"),
    "many brackets": header("(" * 5000),
    "many signs": header("-" * 9000 + "1"),
    "many plusses": header("{'descr': " + "1+" * 4000 + "1"),
    "an enormous header": header("1" * 60_000),
    "a header longer than the file": b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little"),
    "a version of the future": header("{}", version=(9, 9)),
    "version 3": described("'<u8'", "(1,)", bytes(8), version=(3, 0)),
    "no magic": b"",
    "a set that cannot be": header("{[]: 1}"),
    "a type of nothing": described("()", "(1,)"),
    "a type of one": described("('<u8',)", "(1,)", bytes(8)),
    "a type of objects": described("'|O'", "(1,)", bytes(8)),
    "a type of a huge array": described(f"('<u8', ({2**40},))", "()"),
    "a type of commas": described("'" + "f4," * 2000 + "'", "()"),
    "a type of fields twice": described("[('a', '<f4'), ('a', '<f4')]", "(1,)", bytes(8)),
    "a type with a title": described("[(('t', 'a'), '<f4')]", "(1,)", bytes(4)),
    "a type of unicode": described("'<u\xa08'", "(1,)", bytes(8)),
    "a type that is a number": described("8", "(1,)", bytes(8)),
    "a type that is a dictionary": described("{'names': ['a'], 'formats': ['O'], 'offsets': [-8]}", "(1,)", bytes(8)),
    "a type that is nothing": described("None", "(1,)", bytes(8)),
    "keys that are missing": header("{'descr': '<u8'}"),
    "keys of several types": header("{'descr': '<u8', 'fortran_order': False, 3: ()}"),
}
OF_RUNS = {
    "no diverged_at": without("diverged_at"),
    "no observables": without("observed/position"),
    "diverged_at in a table": lambda arrays: arrays | {"diverged_at": np.zeros((len(arrays["ids"]), 3), np.int32)},
    "diverged_at of fractions": lambda arrays: arrays | {"diverged_at": np.full(len(arrays["ids"]), np.nan)},
    "too few times": lambda arrays: arrays | {"observed/position": arrays["observed/position"][:, 1:]},
    "too many times": lambda arrays: arrays | {"observed/position": np.zeros((len(arrays["ids"]), 50), np.float32)},
    "no times": lambda arrays: arrays | {"observed/position": arrays["observed/position"][:, 0]},
    "times twice": lambda arrays: arrays | {"observed/position": np.zeros((len(arrays["ids"]), 3, 3), np.float32)},
    "an observable of flags": lambda arrays: arrays | {"observed/position": np.ones((len(arrays["ids"]), 3), bool)},
    "an observable of long fractions": lambda arrays: (
        arrays | {"observed/position": np.ones((len(arrays["ids"]), 3), np.longdouble)}
    ),
    "an observable that is huge": lambda arrays: arrays | {"observed/position": np.full((len(arrays["ids"]), 3), 1e308)},
} | {
    f"an observable named {name!r}": lambda arrays, name=name: arrays | {f"observed/{name}": arrays["observed/position"]}
    for name in ("time", "rate", "kind", "seed", "diverged_at", "statistic", "", "../x", "a/b", "<script>")
}


def entries(**changes):
    """A change of the entries of moments; a number is put everywhere."""

    def change(arrays):
        n = len(arrays["ids"])
        return arrays | {name: np.full(n, v) if np.ndim(v) == 0 else v[:n] for name, v in changes.items()}

    return change


def reshaped(name, *shape, dtype=np.float64):
    return lambda arrays: arrays | {name: np.ones((len(arrays["ids"]), *shape), dtype)}


def filled(name, value):
    return lambda arrays: arrays | {name: np.full_like(arrays[name], value)}


OF_MOMENTS = {
    "no cell": without("cell"),
    "no low": without("low"),
    "no high": without("high"),
    "no sums": without("moments/position"),
    "no sketch": without("sketch/position"),
    "no counts": without("diverged", "censored"),
    "cells of fractions": lambda arrays: arrays | {"cell": arrays["cell"].astype(np.float64)},
    "cells in a table": lambda arrays: arrays | {"cell": arrays["cell"][:, None]},
    "signed cells": lambda arrays: arrays | {"cell": arrays["cell"].astype(np.int64)},
    "cells of flags": entries(cell=True),
    "low and high in tables": lambda arrays: arrays | {k: arrays[k][:, None] for k in ("low", "high")},
    "low above high": entries(low=4, high=0),
    "high above all": entries(high=np.int64(2**62)),
    "low below all": entries(low=np.int64(-(2**62)), high=np.int64(2**62)),
    "unsigned bounds": entries(low=np.uint64(2**64 - 1), high=np.uint64(2**64 - 1)),
    "bounds of fractions": entries(low=0.5, high=np.inf),
    "bounds of NaN": entries(low=np.nan, high=np.nan),
    "the same seeds over and over": entries(low=0, high=4),
    "sums of too few times": reshaped("moments/position", 2, 7),
    "sums of one time": reshaped("moments/position", 1, 7),
    "sums of too few numbers": reshaped("moments/position", 3, 6),
    "sums of too many numbers": reshaped("moments/position", 3, 9),
    "sums without numbers": reshaped("moments/position", 3),
    "sums without times": reshaped("moments/position"),
    "sums of whole numbers": reshaped("moments/position", 3, 7, dtype=np.int8),
    "sums of infinity": filled("moments/position", np.inf),
    "sums of NaN": filled("moments/position", np.nan),
    "sums of huge numbers": filled("moments/position", 1e308),
    "negative sums": filled("moments/position", -1.0),
    "a sketch of fractions": reshaped("sketch/position", 3, 771),
    "a sketch of few bins": reshaped("sketch/position", 3, 2, dtype=np.uint32),
    "a sketch of too few times": reshaped("sketch/position", 2, 771, dtype=np.uint32),
    "a sketch without times": reshaped("sketch/position", dtype=np.uint32),
    "an overfull sketch": filled("sketch/position", 2**32 - 1),
    "counts of fractions": reshaped("diverged", 3),
    "counts of too few times": reshaped("diverged", 2, dtype=np.int64),
    "counts in a table": reshaped("censored", 3, 3, dtype=np.int64),
    "moments of nothing": reshaped("moments/", 3, 7),
    "moments of time": reshaped("moments/time", 3, 7),
    "moments of statistic": reshaped("moments/statistic", 3, 7),
    "moments of runs": reshaped("moments/runs", 3, 7),
}


def spoilt(spare, kind, content):
    """A store one of whose pieces is spoilt: beside good ones, then alone, then all alike. What became of them."""
    store = spare[kind]
    good = {file: file.read_bytes() for file in (store / "pieces").iterdir()}
    found = []
    try:
        first, *others = pieces(store)
        put(first, content(arrays_of(first)))
        found.append(opened(store))
        for other in others:
            other.with_suffix(".done").unlink()
        found.append(opened(store))
        for other in others:
            put(other, content(arrays_of(other)))
        found.append(opened(store))
    finally:
        for file in (store / "pieces").iterdir():
            file.unlink()
        for file, whole in good.items():
            file.write_bytes(whole)
    assert not Path("bang").exists()
    return found


@pytest.mark.parametrize("content", ANY.values(), ids=ANY)
@pytest.mark.parametrize("kind", ["runs", "moments"])
def test_piece(spare, kind, content):
    spoilt(spare, kind, content)


@pytest.mark.parametrize("member", [*OF_RUNS.values(), *OF_MOMENTS.values()], ids=[*OF_RUNS, *OF_MOMENTS])
def test_piece_of_one_kind(spare, member):
    spoilt(spare, "runs" if member in OF_RUNS.values() else "moments", member)


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_header(spare, content):
    spoilt(spare, "runs", with_member("observed/position", content))


def test_pieces_of_the_other_kind(stores, store):
    """Moments among runs."""
    for piece in pieces(stores["moments"]):
        for suffix in (".npz", ".done"):
            shutil.copy(piece.with_suffix(suffix), store / "pieces" / f"other-{piece.stem}{suffix}")
    opened(store)


def test_more_pieces_than_runs(store):
    """The same finished runs a hundred times, under other names."""
    for piece in pieces(store):
        for i in range(50):
            for suffix in (".npz", ".done"):
                shutil.copy(piece.with_suffix(suffix), piece.with_name(f"{i}-{piece.stem}{suffix}"))
    assert opened(store).position.notnull().all()


# checkpoints, which only a running sweep reads

CHECKPOINTS = {
    "nothing": lambda ids: {},
    "only lanes": lambda ids: {"ids": ids},
    "no lanes": lambda ids: {"ids": ids[:0]},
    "lanes of text": lambda ids: {"ids": np.array(["x"] * len(ids))},
    "lanes of objects": lambda ids: {"ids": np.array([Bomb()], object)},
    "one lane": lambda ids: {"ids": ids[0]},
    "lanes in a table": lambda ids: {"ids": ids[:, None]},
    "lanes twice": lambda ids: {"ids": np.concatenate([ids, ids])},
    "the same lane over and over": lambda ids: {"ids": np.repeat(ids[:1], 99)},
}


@pytest.mark.parametrize("arrays", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoint(store, arrays):
    """A sweep goes on without a checkpoint that is none, or refuses the store; it is not led astray."""
    calm = js.load(store)
    lost = pieces(store)[0]
    ids = arrays_of(lost)["ids"]
    lost.with_suffix(".done").unlink()
    content = zipped(arrays(ids).items())
    (store / "checkpoints" / "strange").write_bytes(sha256(content).hexdigest().encode() + content)
    with contextlib.suppress(js.StoreError):
        assert run(store).equals(calm)
    assert not Path("bang").exists()


# fuzz

SIZES = st.integers(-3, 1000) | st.integers(10**12, 10**40) | st.integers(-(10**40), -(10**12))  # no sizes of an honest sweep
WORDS = ["", "..", "../../x", "/etc/passwd", "a\0b", "\ud800", "\U0010ffff", "<script>alert(1)</script>", "x" * 3000, "{}"]
WORDS += ["seed", "data", "init", "time", "rate", "kind", "position", "statistic", "runs", "int32", "bool", "float16", "object"]
TEXT = st.sampled_from(WORDS) | st.text(st.characters(), max_size=5)
LEAVES = st.none() | st.booleans() | SIZES | st.floats() | TEXT
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8)
AXIS = st.fixed_dictionaries(
    {"values": st.lists(SIZES | st.floats(-10, 10), max_size=4), "dtype": st.sampled_from(["int32", "float32", "bool"])}
)
VALUES = JSON | JSON | st.dictionaries(TEXT, AXIS, max_size=4) | st.dictionaries(TEXT, st.lists(LEAVES, max_size=3), max_size=4)
VALUES |= st.builds(deep, st.integers(1, 300))


def places(value, way=()):
    """Every path of keys into a JSON value."""
    yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


@st.composite
def manifests(draw, good):
    """Bytes of a manifest with some entries replaced, renamed or removed, and perhaps its text spoilt."""
    manifest = deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        if not (ways := [way for way in places(manifest) if way]):
            break
        *way, last = draw(st.sampled_from(ways))
        inner = manifest
        for key in way:
            inner = inner[key]
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"]))
        if how == "replace":
            inner[last] = draw(VALUES)
        elif isinstance(inner, list):
            inner.append(draw(VALUES))
        elif how == "add":
            inner[draw(TEXT)] = draw(VALUES)
        else:
            old = inner.pop(last)
            if how == "rename":
                inner[draw(TEXT)] = old
    with contextlib.suppress(RecursionError):
        manifest = signed(manifest)  # or nothing behind the checksum would be looked at
    text = json.dumps(manifest, ensure_ascii=draw(st.booleans()))
    how = draw(st.sampled_from(["as it is"] * 6 + ["cut", "twice", "insert", "utf-16", "utf-8-sig"]))
    at = draw(st.integers(0, len(text)))
    if how == "cut":
        text = text[:at] + text[at + draw(st.integers(0, 9)) :]
    elif how == "twice":
        text = text.replace("{", "{" + json.dumps(draw(TEXT)) + ": " + json.dumps(draw(LEAVES)) + ", ", 1)
    elif how == "insert":
        text = text[:at] + draw(st.sampled_from(["\0", "NaN", "-Infinity", "1e999", '"', "}", "]", "\ud800", "//"])) + text[at:]
    return text.encode(how if how.startswith("utf") else "utf-8", "surrogatepass")


DTYPES = [
    "<u8",
    ">u8",
    "<i8",
    "<i4",
    "<f4",
    "<f8",
    "<f2",
    "<f16",
    "|b1",
    "<c8",
    "<U3",
    "|S3",
    "<M8[s]",
    "|V4",
    "<u4",
    "|i1",
    "|O",
]

EMPTY_DTYPES = ["'<U0'", "'|S0'", "'|V0'", "[]", "('<u8', (0,))"]


@st.composite
def arrays_like(draw, good):
    """An array that resembles a good one, or does not."""
    shape = draw(
        st.just(good.shape)
        | st.just(good.shape[:1])
        | st.just((*good.shape, 2))
        | st.lists(st.sampled_from([0, 1, 2, 3, 7, 8, *good.shape]), max_size=4).map(tuple)
    )
    dtype = draw(st.just(good.dtype) | st.sampled_from(DTYPES).map(np.dtype))
    if dtype.hasobject:
        return np.full(shape, Bomb(), object)
    if draw(st.booleans()) or dtype.kind not in "iufb":
        return np.zeros(shape, dtype)
    fill = draw(st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 0.5, math.nan, math.inf, -math.inf, 1e300]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.full(shape, np.asarray(fill).astype(dtype))


@st.composite
def raw_members(draw, good):
    """Bytes for a member: a header of lies, or a body that was bitten."""
    if draw(st.booleans()):
        descr = draw(
            st.sampled_from([repr(d) for d in DTYPES] + ["'<U0'", "'|V0'", "[]", "()", "[('a', '<f4')]", "None", "'x'"])
        )
        shape = draw(st.lists(SIZES | st.sampled_from([0, 2**62, 2**63, 10**18]), max_size=4).map(tuple))
        return described(descr, shape, draw(st.binary(max_size=40)), version=draw(st.sampled_from([(1, 0), (2, 0), (3, 0)])))
    content = bytearray(npy(good))
    for _ in range(draw(st.integers(1, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


NAMES = st.sampled_from([*MEMBERS, "observed/position", "moments/position", "sketch/position"])
NAMES |= st.builds("{}/{}".format, st.sampled_from(["observed", "moments", "sketch", "leaf", ".."]), TEXT) | TEXT


@st.composite
def contents(draw, good):
    """Bytes of a piece."""
    members = list(good.items())
    for _ in range(draw(st.integers(0, 3))):
        if not members:
            break
        at = draw(st.integers(0, len(members) - 1))
        name, value = members[at]
        array = value if isinstance(value, np.ndarray) else np.zeros(3)
        how = draw(st.sampled_from(["like", "like", "like", "raw", "remove", "rename", "extra", "twice"]))
        if how == "remove":
            del members[at]
        elif how == "rename":
            members[at] = draw(NAMES), value
        elif how == "twice":
            members.append(members[at])
        else:
            new = draw(raw_members(array) if how == "raw" else arrays_like(array))
            members.append((draw(NAMES), new)) if how == "extra" else members.__setitem__(at, (name, new))
    # a zip's name ends at its first NUL, and Python's writer stumbles over one that is empty then
    members = [(name.encode("utf-8", "replace").decode().lstrip("\0") or "nul", value) for name, value in members]
    content = bytearray(zipped(members, draw(st.sampled_from([zipfile.ZIP_STORED] * 5 + [zipfile.ZIP_DEFLATED]))))
    if draw(st.integers(0, 3)) == 0:
        for _ in range(draw(st.integers(1, 5))):  # the ends of a zip are what it is found by
            at = draw(st.integers(0, min(len(content), 400) - 1))
            content[-1 - at if draw(st.booleans()) else at] = draw(st.integers(0, 255))
    return bytes(content[draw(st.integers(0, 9)) :] if draw(st.integers(0, 9)) == 0 else content)


def fuzzed(spare, data):
    """One store, one lie or more in it."""
    kind = data.draw(st.sampled_from(["runs", "moments"]))
    store = spare[kind]
    good = {file: file.read_bytes() for file in [store / "manifest.json", *(store / "pieces").iterdir()]}
    try:
        what = data.draw(st.sampled_from(["manifest", "piece", "piece", "both"]))
        if what != "piece":
            text = data.draw(manifests(json.loads(good[store / "manifest.json"])))
            (store / "manifest.json").write_bytes(text)
        if what != "manifest":
            for piece in pieces(store)[: data.draw(st.integers(1, 2))]:
                put(piece, data.draw(contents(arrays_of(piece))))
        opened(store)
    finally:
        for file in (store / "pieces").iterdir():
            file.unlink()
        for file, whole in good.items():
            file.write_bytes(whole)


# not shrunk: an example that hangs for its two seconds would be tried hundreds of times
COMMON = dict(deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@settings(max_examples=80, **COMMON)
@given(data=st.data())
def test_fuzz(spare, data):
    fuzzed(spare, data)


@pytest.mark.slow
@settings(max_examples=2500, **COMMON)
@given(data=st.data())
def test_fuzz_longer(spare, data):
    fuzzed(spare, data)
