"""From the rows of a run to answers: what it freezes, its portfolios as problems, and the solver in its own process.

From a claimed chunk to stored orders one passes these files, in this order:

    tasks.py                        a worker takes up a message
    runs/solve_chunk.py             the way itself: claim, load, solve, store, finish
    proposals/run_inputs.py         the targets, prices, options and limits that the run was launched on
    solving/load.py                 balances -> a batch of plain portfolios as arrays, the others as problems
    models_app/sources/local.py     where balances come from; of another book, its own file
    optimiser/batch_solve.py        the closed form of the whole batch
    optimiser/solve.py              the closed form with every option, one by one
    solving/solver_process.py       where that is not enough, the integer programme in a process of its own
    solving/solver_protocol.py      the question to that process, and its answer
    optimiser/check/scalar.py       nothing is stored that the check has found fault with
    proposals/document.py           answers -> the values of rows and orders
    proposals/stored.py             quantities and lots as documents keep them
    runs/store.py                   rows, orders and counters in one transaction
    runs/lifecycle.py               the run ends with its last portfolio
"""
