"""Delaunay triangulation of points in a plane."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FAR = 1 << 20


def delaunay(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """points [n 2], all different -> triangles [k 3] of their numbers."""
    low, high = points.min(0), points.max(0)
    scale = 4096.0 / float((high - low).max())
    placed = ((points - low) * scale).astype(np.float32)
    # The plane's own corners lie far away, so that thin triangles at the hull are not theirs.
    plane = cv2.Subdiv2D((-FAR, -FAR, 2 * FAR, 2 * FAR))
    number: dict[int, int] = {}
    for index, (x, y) in enumerate(placed):
        number.setdefault(plane.insert((float(x), float(y))), index)
    found = []
    for x0, y0, x1, y1, x2, y2 in plane.getTriangleList():
        corners = []
        for x, y in ((x0, y0), (x1, y1), (x2, y2)):
            if not (-1 <= x <= 4097 and -1 <= y <= 4097):
                break
            vertex, _ = plane.findNearest((float(x), float(y)))
            corners.append(number.get(vertex, -1))
        if len(corners) == 3 and min(corners) >= 0:
            found.append(corners)
    return np.array(found, np.int32).reshape(-1, 3)


def centres(points: NDArray[np.float64], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    """[k 2]: the middle of every triangle."""
    return points[triangles].mean(1)


def inside(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far points [n 2] lie inside a polygon [m 2], in its unit: negative outside [n]."""
    line = polygon.astype(np.float32).reshape(-1, 1, 2)
    return np.array([cv2.pointPolygonTest(line, (float(x), float(y)), True) for x, y in points])
