def selftest(policy): return {"todo":"held"}
