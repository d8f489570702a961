/* In place of riccati_ipm.c and riccati_program.c where HPIPM alone is used. */

typedef struct Chain Chain;

enum { PARTS, LENGTH = 0 };

static Chain *chain_take(char **at, int64_t nodes) { return 0; }
static void chain_create(Solver *s, Chain *chain) { s->chain = chain; }
static void chain_forget(Solver *s) {}
static void chain_terms(Solver *s) {}
static void chain_store(Solver *s, int k, double *const *r) {}
static void chain_shift(Solver *s, int64_t from, int64_t k) {}
static int chain_solve(Solver *s, int mode, int64_t most, double deadline, Told *told) { return MIN_STEP; }
static void chain_tell(Solver *s) {}
static double *chain_part(Solver *s, int64_t k, int part) { return 0; }
