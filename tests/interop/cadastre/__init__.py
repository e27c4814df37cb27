"""A client of Cadastre, written from `docs/protocol.md` and `docs/games.md` alone."""
