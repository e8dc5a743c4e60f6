"""Tests of dicomdock; the folders mirror the packages."""
