"""The sheet to print and cut: for each kit's box its room, the PIN of its setup page, and the class link as a QR code.

Pure: slips in, one HTML page out that needs nothing else. Used by ``enrol_files.py``. In both languages at once:
whoever opens the box may read either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import segno

from appliance.setup.pin import spoken

_QR_MM = 34  # a phone reads a link of 60 letters from a hand's breadth
_PAGE = """<!doctype html>
<html lang="ru">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parta: листки для коробок · slips for the boxes</title>
<style>
@page {{ size: A4; margin: 10mm }}
body {{ font: 11pt/1.35 system-ui, sans-serif; color: #000; background: #fff; margin: 0 auto; max-width: 190mm }}
p {{ margin: 0 0 1mm }}
.slips {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(90mm, 1fr)); margin: 4mm 0 0; padding: 0 }}
.slip {{ list-style: none; break-inside: avoid; border: 1px dashed #777; margin: -1px 0 0 -1px; padding: 5mm;
  display: flex; justify-content: space-between; gap: 4mm; min-height: {qr}mm }}
h2 {{ font-size: 17pt; line-height: 1.1; margin: 0 0 1mm; overflow-wrap: anywhere }}
.class {{ font-size: 13pt }}
.pin {{ font: 600 15pt/1.2 ui-monospace, monospace; white-space: nowrap }}
.what {{ color: #444; font-size: 8.5pt; line-height: 1.25; margin-top: 3mm }}
figure {{ flex: none; width: {qr}mm; margin: 0; text-align: center }}
figure svg {{ display: block; width: 100%; height: auto }}
li [lang=en] {{ display: block }}
figcaption {{ color: #444; font-size: 8.5pt; line-height: 1.2 }}
@media screen {{ body {{ padding: 6mm }} }}
@media print {{ header {{ display: none }} }}
</style>
<header>
<h1>Parta</h1>
<p>Листок для каждой коробки: напечатайте и разрежьте. Здесь PIN-коды и ссылки классов: не оставляйте их на виду.</p>
<p lang="en">A slip for each box: print and cut. These are PINs and class links: do not leave them lying about.</p>
</header>
<ul class="slips">
{slips}
</ul>
</html>
"""
_SLIP = """<li class="slip">
<div>
<h2>{room}</h2>
<p class="class">{school_class}</p>
<p class="what">PIN страницы настройки <span lang="en">PIN of the setup page</span></p>
<p class="pin">{pin}</p>
</div>
{link}</li>"""
_LINK = """<figure>
{code}
<figcaption>Ссылка класса <span lang="en">Class link</span></figcaption>
</figure>
"""


@dataclass(frozen=True)
class Slip:
    """What goes into one box. ``class_link``: empty where the table names none."""

    room: str
    school_class: str
    pin: str
    class_link: str = ""


def box_sheet(slips: Sequence[Slip]) -> str:
    """The page, in UTF-8."""
    return _PAGE.format(qr=_QR_MM, slips="\n".join(map(_slip, slips)))


def _slip(slip: Slip) -> str:
    return _SLIP.format(
        room=escape(slip.room),
        school_class=escape(slip.school_class),
        pin=spoken(slip.pin),
        link=_LINK.format(code=_qr(slip.class_link)) if slip.class_link else "",
    )


def _qr(link: str) -> str:
    code = segno.make(link, error="m", micro=False)
    return code.svg_inline(border=2, omitsize=True, title=link, dark="#000")
