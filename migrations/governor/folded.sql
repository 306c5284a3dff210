-- Gives a database of the earlier seventeen files the schema that an empty database gets from the files up to this one:
-- through: 0005_roll_ups.sql
--
-- The runner applies it, instead of those files, where exactly these are recorded:
-- folded: 0001_prices.sql 71872fe9433c548aa25538f58d97ae469b84825b8eae1e31b8a4878ed6a6a00f
-- folded: 0002_budgets.sql 501fdd013f8a0dba96038dcb3ff72e88508c2514c48aacfff06db0982b089004
-- folded: 0003_holds_and_ledger.sql 1fefc7def83f56b8b56fb50fc55c5020970923a5b702be509a4471494b7ae5f6
-- folded: 0004_authorize.sql 0ae1f9d5e177c5ec4673879c6ca86c70da3b916946bf846212f6ff24fea90468
-- folded: 0005_end_holds.sql 1690e89149c77978f21facdbab0ffd9b5c6fcf2772bcd47b97974162f5ea9b23
-- folded: 0006_limits.sql fe79cc9aab6b27053c428002d10ca28dd6870116f97fcd9aca9086af3941d3cf
-- folded: 0007_batches.sql f1811c945f8d5fc5e02216232acb8a603b81b48042829d36d25070e9d9f1a0d4
-- folded: 0008_postings.sql aae9308aaf35327bbb375ae040dcb3bef1994a6e7194d9b544b6532c09f8cd81
-- folded: 0009_tiers.sql 82ea4ce80b8aae152d55d05b76da546b4bf6afbb79192e08c32e48eeb95e418f
-- folded: 0010_reports.sql 573e9f7e11028d46e0932fbeb4dd9a23d1cc58106606bcdb3ca430924785168f
-- folded: 0011_sql_functions.sql 66ec6f9604589703daaf8586b2379da468e9dc2adf861481717962fcf6c954f5
-- folded: 0012_price_versions.sql 2d6509278e349e34a2689f069ed3f435aceb533c1e376a1457ff7e8476b1b175
-- folded: 0013_expiry.sql c060f88ffbf0ebc0f913291071df922664a63cfa5b09a084fa622fecb0e1252b
-- folded: 0014_rules_in_sets.sql fc1ce31de91a1314c2833f22733f4f07e7a95b6a79607b6193eca054805ac395
-- folded: 0015_authorize_together.sql e5d244fef8cce5ec566801e34600e34f54dc5abb6f69d796477cb2fe3ec58778
-- folded: 0016_settle_together.sql 693eec3518a97bcbb5f714a097e5e42b89b792cabfea9bac54fe00fa79a12884
-- folded: 0017_sweep_in_order.sql c2bae0ba1599742519df4c5ee68afdcff012e9fa4c18f121b14c857f88f525c8

-- Functions and views now belong to the folder `functions`, which makes them anew. The functions of triggers stay and
-- are replaced in place.
ALTER TABLE organizations ALTER COLUMN create_time SET DEFAULT clock_timestamp();
DROP FUNCTION find_hold;
DROP VIEW authorizations_with_price;
DROP FUNCTION
    adjust_entry,
    all_were_moved,
    authorize_batch,
    authorize_holds,
    authorize_together,
    budget_figures,
    budget_keys_for,
    budgets_that_apply,
    canonical_model,
    charge_nano_usd,
    charge_of,
    charges_of,
    check_budget,
    check_workflow_cost_limit,
    claim_request_id,
    create_price,
    decide_authorization,
    default_limit,
    denies_unknown_organizations,
    every_organization,
    extend_hold,
    first_day_of,
    get_organization_monthly_ai_cost,
    governor_now,
    hold_nano_usd,
    increment_workflow_cost,
    label_budgets,
    last_day_of,
    limit_in_force,
    limits_in_force,
    lock_organization,
    lock_price_book,
    month_of,
    organizations_to_sweep,
    output_tokens_that_fit,
    price_at,
    rated_cost_nano_usd,
    record_usage,
    record_usage_and_increment,
    set_budget,
    set_freeze,
    set_organization,
    set_tier,
    settle_batch,
    settle_holds,
    settle_together,
    state_at,
    sweep_holds,
    terms_of,
    void_hold,
    workflow_total;

