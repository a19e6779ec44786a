"""What the test needs of a machine without a container engine of its own: Debian's podman with runc, told by files below
the target folder where to keep everything, base images made here, and podman-compose in a folder of its own.

Nothing is installed outside of that folder but for apt's packages, and no registry of images is asked.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PLACE = TARGET / "docker-test"
PACKAGES = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "curl": "curl"}
HELPERS = {
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "/usr/libexec/podman/catatonit": "catatonit",
}
COMPOSE = "podman-compose==1.6.0"
SUITE = "bookworm"
IN_BASE = "gcc,libc6-dev,make,ca-certificates,python3"
# The names that the Dockerfiles begin with. One root file system serves all of them: it has a C compiler and Python, and
# the machine's own Rust and Node are mounted into it while images are built.
BASES = ["rust:1-bookworm", "python:3.13-slim", "node:22-bookworm-slim"]
RUST, NODE = "/usr/local/rust", "/usr/local/node"
ENVIRONMENT = [
    f"PATH={RUST}/bin:{NODE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "CARGO_HOME=/usr/local/cargo",
    "npm_config_cache=/usr/local/npm-cache",
    "npm_config_prefer_offline=true",
]
FILES = os.environ.get("DOCKER_TEST_FILES", "20000")


class NotHere(Exception):
    """This machine does not allow the test; says why."""


def run(*command, **options):
    """Runs a command to its end; on failure says what it said."""
    options = {"check": False, "capture_output": True, "text": True, "timeout": 600, **options}
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout


def install():
    """By apt what is missing, and podman-compose into a folder of the test."""
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    missing += [package for file, package in HELPERS.items() if not Path(file).exists()]
    if os.geteuid() != 0:
        raise NotHere("containers are started as root here; this is another user")
    if missing:
        print("     installing", *missing, flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            run("apt-get", "update", "-qq", env=environment)
            run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment)
        except (RuntimeError, FileNotFoundError) as error:
            raise NotHere(f"{' '.join(missing)} cannot be installed: {error}") from error
    compose = PLACE / "podman-compose"
    if not (compose / "bin/podman-compose").exists():
        run("python3", "-m", "venv", compose)
        run(compose / "bin/pip", "install", "--quiet", "--disable-pip-version-check", COMPOSE)


def configure():
    """Writes podman's files, and returns the environment that makes it read them."""
    PLACE.mkdir(parents=True, exist_ok=True)
    containers = PLACE / "containers.conf"
    containers.write_text(f"""\
[containers]
default_ulimits = ["nofile={FILES}:{FILES}", "nproc=10000:10000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{PLACE}/run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "{PLACE}/networks"
""")
    storage = PLACE / "storage.conf"
    environment = {
        **os.environ,
        "CONTAINERS_CONF": str(containers),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_FORMAT": "docker",  # the other format knows no HEALTHCHECK
        "PODMAN_COMPOSE_WARNING_LOGS": "false",
    }
    for driver in ("overlay", "vfs"):
        storage.write_text(f"""\
[storage]
driver = "{driver}"
graphroot = "{PLACE}/images-{driver}"
runroot = "{PLACE}/run/storage"
""")
        asked = subprocess.run(["podman", "info"], env=environment, capture_output=True, text=True, timeout=60)
        if asked.returncode == 0:
            return environment, driver
    raise NotHere(f"podman finds nothing to keep images with: {asked.stderr.strip()}")


class Podman:
    """podman and podman-compose, as this test uses them."""

    def __init__(self, environment, project):
        self.environment, self.project = environment, project

    def __call__(self, *arguments, **options):
        return run("podman", *arguments, env=self.environment, **options)

    def compose(self, *arguments, **options):
        command = [PLACE / "podman-compose/bin/podman-compose", "-p", self.project, "-f", ROOT / "docker/compose.yaml"]
        return run(*command, *arguments, env=self.environment, **options)

    def try_out(self):
        """Whether containers run here, with a network that knows names."""
        try:
            self("network", "create", "try-out")
            self("run", "--rm", "--network", "try-out", BASES[0], "/bin/true")
        except RuntimeError as error:
            raise NotHere(f"no container runs here: {error}") from error
        finally:
            subprocess.run(["podman", "network", "rm", "-f", "try-out"], env=self.environment, capture_output=True)

    def make_bases(self):
        """The images that files name, from Debian's packages."""
        have = {name for image in json.loads(self("images", "--format", "json")) for name in image.get("Names") or []}
        if {f"localhost/{name}" for name in BASES} <= have:
            return
        archive = PLACE / "base.tar"
        if not archive.exists():
            half = archive.with_suffix(".half.tar")
            run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={IN_BASE}", SUITE, half, *mirror())
            half.rename(archive)
        changes = [word for variable in ENVIRONMENT for word in ("--change", f"ENV {variable}")]
        self("import", *changes, archive, BASES[0])
        for name in BASES[1:]:
            self("tag", f"localhost/{BASES[0]}", f"localhost/{name}")

    def of_service(self, service):
        """The container of a service."""
        labels = [f"io.podman.compose.project={self.project}", f"io.podman.compose.service={service}"]
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return self("ps", "--all", "--quiet", *filters).split()[0]

    def state(self, container):
        return json.loads(self("inspect", container))[0]["State"]


def mirror():
    """Where this machine has Debian's packages from, when it is Debian; else the tool's own choice."""
    if "ID=debian" not in Path("/etc/os-release").read_text().split():
        return []
    for file in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        for line in file.read_text().splitlines() if file.exists() else []:
            words = line.split()
            if words[:1] in (["URIs:"], ["deb"]) and words[1].startswith("http"):
                return [words[1]]
    return []


def rust_mounts():
    """This machine's Rust, and the sources of crates that it has fetched, as arguments of a build."""
    sysroot = run("rustc", "--print", "sysroot").strip()
    run("cargo", "fetch", "--locked", "--quiet", cwd=ROOT)
    registry = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry"
    return ["-v", f"{sysroot}:{RUST}:ro", "-v", f"{registry}:/usr/local/cargo/registry"]


def node_mounts():
    """This machine's Node and npm, and the packages that it has fetched."""
    node, npm = (Path(shutil.which(name) or "").resolve() for name in ("node", "npm"))
    if not node.is_file() or not npm.is_file():
        raise RuntimeError("node and npm are needed to build the demos' image")
    place = PLACE / "node"
    shutil.rmtree(place, ignore_errors=True)
    (place / "bin").mkdir(parents=True)
    shutil.copy(node, place / "bin/node")
    # npm is a script beside its modules: npm/bin/npm-cli.js
    (place / "bin/npm").symlink_to(f"{NODE}/lib/npm/bin/{npm.name}")
    (place / "lib/npm").mkdir(parents=True)
    fetched = PLACE / "client"
    fetched.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "clients/js" / name, fetched)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=fetched)
    cache = run("npm", "config", "get", "cache").strip()
    mounts = {place: f"{NODE}:ro", npm.parents[1]: f"{NODE}/lib/npm:ro", cache: "/usr/local/npm-cache"}
    return [word for here, there in mounts.items() for word in ("-v", f"{here}:{there}")]
