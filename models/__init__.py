"""The networks and what they are put to work by; nothing here knows of Ray, of a store, or of manifests.

A title goes through `parts`: `prepare` (`faces`, `speech`, `autoencoder`), `chain` (`prompts`, `diffusion`), `upscale`
(`autoencoder`, `restoration`). A package imports only what stands before it in this list: families, image, speech,
autoencoder, faces, diffusion, prompts, restoration, weights, execution, parts, drawn, measures, data, training.
"""
