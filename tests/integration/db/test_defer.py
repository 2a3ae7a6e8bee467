"""A job that cannot be written raises the same error as any other failure of the database."""

import pytest
from sqlalchemy import text

from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway
from ims.core.queue import Job, defer


def test_a_job_that_the_database_refuses_fails_as_the_database_does(database: Database) -> None:
    with database.begin() as session:
        session.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(DatabaseAway):
            defer(session, Job.DECIDE, episode_ids=[1])
        session.rollback()
