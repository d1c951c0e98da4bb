"""What a worker loads of a family: prepare looks at portrait and speech, chain draws clips, upscale makes pictures."""
