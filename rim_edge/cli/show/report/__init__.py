"""An evaluation as one HTML page that loads nothing from elsewhere and needs no script."""
