"""The web pages: templates, styles, small scripts, and the modules that prepare what they show."""
