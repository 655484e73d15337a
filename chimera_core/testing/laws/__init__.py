"""The laws of components, as checks that plugins' tests and `chimera plugins check --deep` run."""
