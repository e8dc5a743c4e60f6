"""The processors that come with dicomdock."""
