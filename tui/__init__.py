"""The console: a Textual application on top of an `EngineView`."""
