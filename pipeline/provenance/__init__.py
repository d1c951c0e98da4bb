"""How a video says that it is generated: watermark, content credentials, badge."""
