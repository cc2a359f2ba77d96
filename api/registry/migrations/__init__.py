"""Changes to the registry's tables since the first release, applied by `database.migrate`.

A new one, written by comparing the models with a scratch database that is up to date::

    alembic -c api/registry/migrations/alembic.ini upgrade head
    alembic -c api/registry/migrations/alembic.ini revision --autogenerate -m "add parts"

Read what it wrote before keeping it: it does not see renamed columns, nor data to be moved.
A released migration is never edited, and there is none backwards: the way back is the backup.
"""
