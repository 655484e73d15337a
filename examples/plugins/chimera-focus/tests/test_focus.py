"""Tests of the fuser: first the laws that all fusers keep, then what this one does."""

import pytest
from chimera_core.api import ConfigError, EncoderRef
from chimera_core.testing import Law, check_fuser, parametrize_with_laws

from chimera_focus.fuser import Focus
from chimera_focus.plugin import FocusConfig

SMALL = EncoderRef(name="cnn")


@parametrize_with_laws(check_fuser(lambda: Focus(FocusConfig(encoder=SMALL))))
def test_it_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


def test_a_level_that_the_encoder_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="levels, but level is 40"):
        Focus(FocusConfig(encoder=SMALL, level=40))
