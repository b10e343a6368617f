-- Answers apart from their intents: an answer in the row of its intents had these, a megabyte, written a second time.

-- Answers of batches that are not settled.
CREATE TABLE answers (
    span TEXT NOT NULL,
    number INTEGER NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (span, number)
) STRICT;
INSERT INTO answers (span, number, answer) SELECT span, number, answer FROM intents WHERE answer IS NOT NULL;
ALTER TABLE intents DROP COLUMN answer;
