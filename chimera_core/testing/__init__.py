"""For the tests of plugins: small data sets, written in their true layouts."""
