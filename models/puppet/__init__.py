"""A photograph that speaks: one portrait and its landmarks, moved by an analytic rig, with exact backward flow.

What the chain learns from, and the upper bound that it is compared with. Landmarks are the 478 points of the usual
face mesh with irises, in pixels, x to the right, y down, z away from the viewer.
"""
