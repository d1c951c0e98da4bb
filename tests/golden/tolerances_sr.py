"""How far the high-resolution and portrait numbers may lie from the recorded ones: largest absolute difference.

`level` cases are 8-bit pictures, in grey levels. The comment gives what was measured on a CPU, and the spread of the
recorded output where it is far from 1.
"""

SR: dict[str, float] = {
    "codeformer_logits": 1e-4,  # 3.8e-6
    "codeformer_w0_noadain": 5e-3,  # 2.6e-4, outputs reach 40
    "codeformer_w0.5": 2e-2,  # 2.0e-3, outputs reach 42
    "codeformer_w1.0": 2e-2,  # 3.2e-3, outputs reach 39
    "codeformer_one_frame": 2e-2,  # 1.6e-3
    "rrdbnet_x2": 4e-2,  # 1.6e-2: recorded in half precision, values reach 50
    "rrdbnet_level": 1,  # 1, on 0.002 % of the pixels at x2 and 0.5 % at x4
    "parsenet": 2e-3,  # 1.3e-4, spread 24
    "retinaface_raw": 2e-5,  # 1.7e-6
    "retinaface_anchors": 0,  # 0
    "retinaface_detections": 1e-3,  # 3.1e-5, pixels
    "align_affine": 1e-4,  # 1.5e-5: the robust estimator differs a little between OpenCV versions
    "align_inverse": 1e-9,  # 1.1e-13
    "align_crop_level": 1,  # 1, on 0.3 % of the pixels
    "paste_level": 1,  # 1: the recorded script cuts to whole levels twice on the way
    "masks": 0,  # 0
    "mask_pixels": 1e-6,  # 6.0e-8
    "loop_images": 1e-6,  # 0, and 1.2e-7 on another processor
    "loop_audio": 1e-5,  # 1.9e-6
    "sr_loop_level": 1,  # 1, on 8 % of the pixels
    "sr_loop_mean": 0.05,  # 0.009 grey levels
}
