"""How sharp a picture is, as one number for a hand on a lens ring. Pure numpy; used by ``viewfinder.py``.

The variance of the Laplacian over the luma's own variance: edges against contrast, so that a lamp switched on is no
better focus. It has no unit. It is good for comparing pictures of one scene, and says nothing across scenes.
"""

from __future__ import annotations

import numpy as np

from appliance.capture.base import Luma

#: Of 255 shades, squared: the noise of a sensor in a dim room. A blank wall must not divide noise by nothing.
NOISE = 16.0
#: So that figures are of two or three digits.
SCALE = 1000.0
#: Of the new figure. At five pictures a second, a turn of the ring shows within half a second, and noise is halved.
SMOOTHING = 0.35


def sharpness(luma: Luma) -> float:
    """The figure for this picture, which must be three pixels wide and high at least."""
    middle = luma.astype(np.int16)
    laplacian = 4 * middle[1:-1, 1:-1] - middle[:-2, 1:-1] - middle[2:, 1:-1] - middle[1:-1, :-2] - middle[1:-1, 2:]
    return SCALE * float(np.var(laplacian, dtype=np.float32)) / (float(np.var(luma, dtype=np.float32)) + NOISE)


def smoothed(before: float | None, now: float) -> float:
    """The figure as it is shown."""
    return now if before is None else before + SMOOTHING * (now - before)
