"""What no emulator of Snowflake has: change histories, streams and time travel, on the tables of fakesnow.

docs/snowflake-standin.md says what is modelled, from which documents, and what this cannot know.

| module | idea |
| --- | --- |
| `refused` | an error in the service's codes |
| `world` | one account: its clock, its tracked tables and views, its streams; and what a session is in the middle of |
| `capture` | after each commit, what became of the rows of a tracked table |
| `states` | a table or view as it stood at an instant, and the changes between two, as SQL |
| `rewrite` | queries: streams, CHANGES, AT and the system functions, replaced by such SQL |
| `commands` | the statements that make, change and list what has a history |
| `locks` | who waits for whom, and whose transaction is taken away |
| `roles` | roles, and what was granted to them |
| `stages` | stages, and their files in the clouds' storage |
| `statements` | one statement from its text to its effects |
"""
