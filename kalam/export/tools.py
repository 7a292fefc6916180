"""llama.cpp at one release: fetched from a package registry by its checksum, and built once."""

import logging
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from kalam.export.programs import run
from kalam.files.atomic import atomic_directory
from kalam.files.digests import digest_file, digest_folder
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json

logger = logging.getLogger(__name__)

PROGRAMS = ("llama-quantize", "llama-imatrix")
CONVERTERS = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py", "LICENSE")
# Named instructions, never whatever the machine at hand has: a native build dies of an illegal instruction where
# the processor claims more than it can, and a folder that several machines share must run on each.
X86 = ("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")
OFF = ("LLAMA_OPENSSL", "LLAMA_BUILD_SERVER", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_APP")
OFF += ("LLAMA_BUILD_UI", "LLAMA_USE_PREBUILT_UI", "GGML_NATIVE", "GGML_CCACHE")


def build_tools(release: dict[str, str], folder: str | Path, threads: int) -> None:
    """Leave in `folder` the converter, bin/ (llama-quantize, llama-imatrix), python/ (the bindings with the
    library) and, written last, `manifest.json`.

    `release` has package, version and sha256 of the source distribution. Raises InputError where it cannot
    be had, has another checksum, or does not build here.
    """
    with tempfile.TemporaryDirectory(prefix="kalam-llama.cpp-") as work:
        archive = fetch(release, Path(work))
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
        source = archive.with_name(archive.name.removesuffix(".tar.gz"))
        build = _build(source / "vendor/llama.cpp", Path(work) / "build", threads)
        with atomic_directory(folder) as temporary:
            converters = _collect(source, build, temporary)
            # Not of what was compiled: that may differ in bytes from machine to machine.
            write_json(temporary / "manifest.json", {**release, "converters": converters})


def fetch(release: dict[str, str], folder: Path) -> Path:
    """The source distribution, by pip, from the registry it is set up for."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{release['package']}=={release['version']} --hash=sha256:{release['sha256']}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-binary", release["package"], "--require-hashes"]
    run([*pip, "download", *options, "-r", str(requirements), "-d", str(folder)], "pip")
    (archive,) = folder.glob("*.tar.gz")
    if (found := digest_file(archive)) != release["sha256"]:
        raise InputError(f"{archive.name}: found SHA-256 {found}; allowed is {release['sha256']}")
    return archive


def _build(source: Path, build: Path, threads: int) -> Path:
    installed = Path(sys.executable).parent  # where pip puts cmake and ninja; an environment need not be active
    path = f"{installed}{os.pathsep}{os.environ.get('PATH', '')}"
    cmake = shutil.which("cmake", path=path)
    if not (cmake and shutil.which("ninja", path=path) and shutil.which("c++", path=path)):
        raise InputError(
            "llama.cpp: cmake, ninja and a C++ compiler are needed to build it (Debian: apt-get install g++)"
        )
    on = ["BUILD_SHARED_LIBS", "CMAKE_BUILD_RPATH_USE_ORIGIN"]
    if platform.machine() in ("x86_64", "AMD64"):
        on += [f"GGML_{name}" for name in X86]
    switches = [f"-D{name}=ON" for name in on] + [f"-D{name}=OFF" for name in OFF]
    logger.info("building llama.cpp with %d threads: some minutes, once", threads)
    configure = [cmake, "-S", str(source), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    run([*configure, *switches], "cmake", PATH=path)
    run([cmake, "--build", str(build), "-j", str(threads), "--target", *PROGRAMS], "cmake", PATH=path)
    return build / "bin"


def _collect(source: Path, build: Path, folder: Path) -> str:
    """Copy what is needed; returns the digest of the converters."""
    for name in CONVERTERS:
        part = source / "vendor/llama.cpp" / name
        copy = shutil.copytree if part.is_dir() else shutil.copyfile
        copy(part, folder / name)
    digest = digest_folder(folder)
    bindings = folder / "python" / "llama_cpp"
    shutil.copytree(source / "llama_cpp", bindings)
    (folder / "bin").mkdir()
    (bindings / "lib").mkdir()
    for name in PROGRAMS:
        shutil.copy2(build / name, folder / "bin" / name)
    for library in sorted(build.glob("lib*.so*")) + sorted(build.glob("lib*.dylib")):
        shutil.copy2(library, folder / "bin" / library.name, follow_symlinks=False)
        target = bindings / "lib" / library.name
        target.symlink_to(Path("../../../bin") / library.name)
    return digest
