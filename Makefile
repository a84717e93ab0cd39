# make demo: trace a real kernel in a guest.  make test: everything CI checks.  Both set up what they need.

PYSTAP = .venv/bin/pystap
PYTEST = .venv/bin/python -m pytest

.PHONY: demo test check unit bench torture torture-debug setup clean docs

demo:
	@scripts/setup demo
	@scripts/demo

test:
	@scripts/setup test
	@$(MAKE) --no-print-directory check
	$(PYTEST) -n 2 --dist loadfile --durations=12 --reruns 1 -m "not slow"

check:
	.venv/bin/ruff check pystap tests
	.venv/bin/mypy

unit:
	$(PYTEST) -m "not vm"

bench:
	@scripts/setup test
	.venv/bin/python benchmarks/run.py

# Every function under load, hundreds of kills: some twenty minutes of each kernel (KERNELS="6.1 6.12-rt": of these).
# The figures of each kernel end the output, and are added to ~/.cache/pystap/torture/figures.
torture:
	@scripts/setup torture
	PYSTAP_TORTURE=1 PYSTAP_KERNELS="$(KERNELS)" $(PYTEST) -v tests/torture --timeout 3600

# The same, smaller, on a kernel that watches its locks, contexts and memory, and the tests of families and engines there.
# The kernel is built the first time (15 minutes).
torture-debug:
	@scripts/setup test
	@scripts/debug-kernel
	PYSTAP_TORTURE=debug $(PYTEST) -v tests/torture --timeout 3600
	PYSTAP_KERNELS=6.1-debug $(PYTEST) -v tests/vm/test_families.py tests/vm/test_engines.py tests/vm/test_procfs.py \
		tests/vm/test_nmi.py tests/vm/test_losses.py tests/vm/test_everywhere.py tests/vm/test_limits.py -m "not slow" --timeout 3600

docs:
	.venv/bin/python -m pystap.docs docs-out

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
