-- Every part of a table costs each question a few milliseconds, and by size alone a month stays in a dozen parts. What is
-- older than a day is merged into one; that rewrites the hours of the running month once a day.
ALTER TABLE rollup_hour{{on_cluster}} MODIFY SETTING min_age_to_force_merge_seconds = 86400;
