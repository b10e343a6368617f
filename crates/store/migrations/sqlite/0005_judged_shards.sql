-- Parts of a delivery are judged together: a guard is about the run, whoever delivers.
ALTER TABLE shards ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;      -- records that the target answered for
ALTER TABLE shards ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;   -- those of them that it refused
ALTER TABLE shards ADD COLUMN forced TEXT NOT NULL DEFAULT '[]';   -- guards that the run passes by (JSON)
