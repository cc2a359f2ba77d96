"""How good were the answers? Judged against what came true."""
