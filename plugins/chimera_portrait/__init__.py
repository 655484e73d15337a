"""Plugin of ``portrait``: two or more faces become one."""
