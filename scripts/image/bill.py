"""The image's bill of materials, in CycloneDX: every Debian and Python package that is in its root.

Reads dpkg's and Python's own records below a root, which is not run. Not here: images of rpi-image-gen, which makes its
own where syft is installed. Used by ``scripts/image.sh`` through ``__main__.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_NAMESPACE = uuid.UUID("b3a5f8f0-5d0c-4a8e-9a53-7061727461bb")
STATUS = "var/lib/dpkg/status"
#: Where Python looks for packages in an image: the kit's environment, and the emulation's stand-ins.
SITES = ("opt/parta/lib/python3.*/site-packages", "opt/site")


def bill_of(root: Path, version: str, made_s: int) -> str:
    """The bill as JSON; ``made_s`` is its date in Unix time, so that two bills of one image are one file."""
    components = sorted([*_debian(root), *_python(root)], key=lambda each: str(each.purl))
    image = Component(name="parta-kit", version=version, type=ComponentType.OPERATING_SYSTEM, bom_ref="parta-kit")
    said = "\n".join(str(each.purl) for each in components)
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(_NAMESPACE, f"{version}\n{said}"),
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(made_s, UTC)),
    )
    bom.register_dependency(image, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _debian(root: Path) -> Iterator[Component]:
    parser = HeaderParser()
    for paragraph in (root / STATUS).read_text(encoding="utf-8").strip().split("\n\n"):
        fields = parser.parsestr(paragraph)
        if fields["Status"] == "install ok installed":
            yield _component(
                PackageURL("deb", "debian", fields["Package"], fields["Version"], {"arch": fields["Architecture"]})
            )


def _python(root: Path) -> Iterator[Component]:
    folders = {str(path.parent): path for site in SITES for path in root.glob(f"{site}/*.dist-info/METADATA")}
    found = {}
    for path in folders.values():
        fields = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        purl = PackageURL("pypi", None, fields["Name"].lower().replace("_", "-"), fields["Version"])
        found[str(purl)] = purl
    yield from map(_component, found.values())


def _component(purl: PackageURL) -> Component:
    return Component(name=purl.name, version=purl.version, purl=purl, bom_ref=str(purl))
