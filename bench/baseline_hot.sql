-- One transaction of pgbench: every client on the same row.
SELECT record_usage_and_increment(
    '00000000-0000-0000-0000-000000000001', '11111111-1111-1111-1111-111111111111',
    'perplexity/sonar', 100, 200, 0.0005, gen_random_uuid());
