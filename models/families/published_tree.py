"""The published Hallo2 folder of weights as far as inference needs it, and a plainer one for families of ours.

The published folder also holds the Stable Diffusion 1.5 U-Net, the AnimateDiff motion module, files for training, and
detectors that nothing here uses: none of them is needed, because `hallo2/net.pth` holds every tensor of the chain.
"""

from __future__ import annotations

from models.families.network_config import NetworkConfig
from models.families.weight_files import Part, WeightFile

_ALL: tuple[Part, ...] = ("prepare", "chain", "upscale")
_RESEARCH = "insightface model pack: non-commercial research only"


def published_tree(config: NetworkConfig) -> tuple[WeightFile, ...]:
    """The published files for networks of this configuration, whatever their widths."""
    files = [
        WeightFile(
            "hallo2/net.pth",
            "chain",
            ("chain",),
            "ReferenceNet, denoiser, face locator, image and audio projections",
            "MIT (repository of Hallo2)",
            "yes",
        ),
        WeightFile(
            "hallo2/net_g.pth",
            "restorer",
            ("upscale",),
            "temporal codebook restorer",
            "S-Lab License 1.0 (derived from CodeFormer): non-commercial",
            "no",
            key="params_ema",
        ),
        WeightFile(
            "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
            "vae",
            _ALL,
            "pixels to latents and back",
            "MIT",
            "yes",
            also=("sd-vae-ft-mse/diffusion_pytorch_model.bin",),
            size=334_643_276,
            sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        ),
        WeightFile(
            "wav2vec/wav2vec2-base-960h/model.safetensors",
            "speech",
            ("prepare",),
            "speech to features",
            "Apache-2.0",
            "yes",
            also=("wav2vec/wav2vec2-base-960h/pytorch_model.bin",),
            size=377_607_901,
            sha256="8aa76ab2243c81747a1f832954586bc566090c83a0ac167df6f31f0fa917d74a",
        ),
        WeightFile(
            "realesrgan/RealESRGAN_x2plus.pth",
            "enlarger",
            ("upscale",),
            "x2 enlargement of background and face",
            "BSD-3-Clause",
            "yes",
            key="params_ema",
            size=67_061_725,
            sha256="49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        ),
        WeightFile(
            "facelib/detection_Resnet50_Final.pth",
            "detector",
            ("prepare", "upscale"),
            "where the face is in a frame (RetinaFace)",
            "MIT",
            "yes",
            size=109_497_761,
            sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        ),
        WeightFile(
            "facelib/parsing_parsenet.pth",
            "parser",
            ("upscale",),
            "which parts of a restored face are pasted back (ParseNet)",
            "MIT code; trained on CelebAMask-HQ, whose terms are non-commercial",
            "unclear",
            size=85_331_193,
            sha256="3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        ),
        WeightFile(
            "face_analysis/models/scrfd_10g_bnkps.onnx",
            "face_finder",
            ("prepare",),
            "where the face is in the portrait; without it, face_box or the detector above",
            _RESEARCH,
            "no",
            optional=True,
            size=16_923_827,
            sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        ),
        WeightFile(
            "face_analysis/models/glintr100.onnx",
            "face_embedder",
            ("prepare",),
            "whose face it is; without it, face_embedding or zeros",
            _RESEARCH,
            "no",
            optional=True,
            size=260_665_334,
            sha256="4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
        ),
        WeightFile(
            "face_analysis/models/face_landmarker_v2_with_blendshapes.task",
            "face_mesh",
            ("prepare",),
            "outline of face and lips; without it, lip_box or an estimate",
            "Apache-2.0 (MediaPipe)",
            "yes",
            optional=True,
        ),
        WeightFile(
            "audio_separator/Kim_Vocal_2.onnx",
            "separator",
            ("prepare",),
            "voice out of music, for `vocals: separate`",
            "of the Ultimate Vocal Remover community, none stated",
            "unclear",
            optional=True,
        ),
        WeightFile(
            "audio_separator/mdx_model_data.json",
            "separator_table",
            ("prepare",),
            "sizes of the separator",
            "MIT (Ultimate Vocal Remover)",
            "yes",
            optional=True,
            along_with="separator",
        ),
    ]
    return tuple(files) + (_text("hallo2/text.safetensors", "clip", config) if config.text else ())


def plain_tree(config: NetworkConfig, licence: str = "MIT") -> tuple[WeightFile, ...]:
    """One safetensors file a network, named for it: the folder of a family that is trained here."""

    def file(network: str, parts: tuple[Part, ...], purpose: str) -> WeightFile:
        return WeightFile(f"{network}.safetensors", network, parts, purpose, licence, "yes")

    files = [
        file("chain", ("chain",), "ReferenceNet, denoiser, face locator, image and audio projections"),
        file("vae", _ALL, "pixels to latents and back"),
        file("restorer", ("upscale",), "temporal codebook restorer"),
        file("enlarger", ("upscale",), "x2 enlargement"),
    ]
    if config.speech is not None:
        files.append(file("speech", ("prepare",), "speech to features"))
    if config.detector is not None:
        files.append(file("detector", ("prepare", "upscale"), "where the face is in a frame"))
    if config.parser is not None:
        files.append(file("parser", ("upscale",), "which parts of a restored face are pasted back"))
    return tuple(files) + (_text("text.safetensors", "clip", config) if config.text else ())


def _text(path: str, clip: str, config: NetworkConfig) -> tuple[WeightFile, ...]:
    """The text branch's own file, and the folder of the CLIP text model that its prompts go through."""
    branch = WeightFile(path, "text", ("chain",), "text branch: what prompts change", "MIT", "yes", optional=True)
    if config.text is None or config.text.clip is None:
        return (branch,)

    def file(name: str, purpose: str, also: tuple[str, ...] = ()) -> WeightFile:
        return WeightFile(
            f"{clip}/{name}",
            "clip",
            ("chain",),
            purpose,
            "MIT (OpenAI CLIP)",
            "yes",
            optional=True,
            along_with="text",
            also=tuple(f"{clip}/{other}" for other in also),
        )

    return (
        branch,
        file("model.safetensors", "text model that prompts go through (CLIP ViT-L/14)", ("pytorch_model.bin",)),
        file("vocab.json", "words of the text model"),
        file("merges.txt", "how the text model splits words"),
    )
