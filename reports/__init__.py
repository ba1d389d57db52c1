"""Reports: one run folder in; a page, a figure and a JSON file out. Nothing here changes a run."""
