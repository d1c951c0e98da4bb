"""The pages that people open: the catalog and one page a title, static files beside the videos.

    index.html  <id>/report.html        replaced whole; each carries its data, so it can be read from a folder too
    _pages/catalog.json  <id>/page.json  the same data, which open pages ask for while a run goes on
    _pages/<version>/                   style, scripts and player, written once a version

They are views: derived from records and from what the driver knows, and nothing is ever read from them as truth.
Whatever comes from a manifest, a file or an error goes in as JSON and is shown as text.
"""
