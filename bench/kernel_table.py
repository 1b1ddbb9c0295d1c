"""What the compiler made of the kernels in cuda/, what they would cost at best, and what they cost.

Usage: /usr/bin/python3 bench/kernel_table.py [NVCC [MEASURED.csv]]

Compiles cuda/ops_*.cu for one architecture (sm_90: H100) and prints two tables for docs/performance.md. The first is read
from the compiler's report: registers, shared memory, spills, and the share of a multiprocessor's 2048 threads that fit. The
second is arithmetic: the bytes that a kernel moves, the fewest possible, its operations, and the time that the larger of
both takes at an H100's 3.35 TB/s and 67 TFLOP/s; beside it the time measured on a GPU, the longest launch of each kernel, if
there is a file of

    ncu --csv --metrics gpu__time_duration.sum -c 300 device_bench cuda 0 cnn 100 > MEASURED.csv

Spills end the script with an error.
"""

import csv
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURE = "sm_90"
BANDWIDTH, FLOPS = 3.35e12, 67e12
# Of a multiprocessor with compute capability 9.0.
REGISTERS, THREADS, SHARED, BLOCKS, REGISTERS_AT_ONCE, RESERVED = 65536, 2048, 228 * 1024, 32, 256, 1024
BLOCK, BLOCK_OF_PRODUCTS = 256, 128   # threads
DYNAMIC = {"channel_sums_kernel": 256 * 8, "move_kernel": 64 * 4}   # bytes of shared memory given at the launch

# The case of the second table: G clients of `cnn` (28 x 28, 10 classes), half of whose parameters are personal.
CASE = {
    "G": 100, "B": 32,                          # clients, samples of a batch
    "d": 1_663_370,                             # parameters of a client
    "x1": 28 * 28, "y1": 28 * 28 * 32,          # values of a sample: image, first convolution,
    "w1": 25 * 32,                              # its weights
    "x2": 14 * 14 * 32, "y2": 14 * 14 * 64,     # second convolution: what it reads and makes
    "w2": 25 * 32 * 64,                         # its weights
    "x3": 7 * 7 * 64, "y3": 512,                # first linear layer
}
# Kernel: bytes moved, fewest bytes, operations; each for one launch.
COSTS = {
    "gather_kernel": ("G*B*x1*(1+4)", "G*B*x1*(1+4)", "G*B*x1*2"),
    "ConvForward 128 x 32": ("G*4*(B*x1+w1+B*y1)", "G*4*(B*x1+w1+B*y1)", "G*B*784*w1*2"),
    "ConvForward 128 x 64": ("G*4*(B*x2+w2+B*y2)", "G*4*(B*x2+w2+B*y2)", "G*B*196*w2*2"),
    "ConvByInput 128 x 32": ("G*4*(B*y2+w2+B*x2)", "G*4*(B*y2+w2+B*x2)", "G*B*196*w2*2"),
    "ConvByWeight 32 x 32": ("G*4*(B*x1+B*y1+25*w1)", "G*4*(B*x1+B*y1+w1)", "G*B*784*w1*2"),
    "ConvByWeight 128 x 64": ("G*4*(B*x2+B*y2+7*w2)", "G*4*(B*x2+B*y2+w2)", "G*B*196*w2*2"),
    "LinearForward 128 x 32": ("G*4*(x3*y3+B*x3+13*B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "LinearByInput 128 x 32": ("G*4*(x3*y3+B*x3+B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "LinearByWeight 128 x 64": ("G*4*(x3*y3+B*x3+B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "map_kernel<ReluForward>": ("G*B*y1/4*8", "0", "G*B*y1/4"),
    "map_kernel<ReluBackward>": ("G*B*y1/4*12", "0", "G*B*y1/4"),
    "max_forward_kernel<4>": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "max_backward_kernel<4>": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "cross_entropy_kernel": ("G*B*10*8", "G*B*10*8", "G*B*10*40"),
    "sgd_kernel": ("G*d*(12+1/8)", "G*d*(12+1/8)", "G*d*2"),
    "adam_kernel": ("G*d*(28+1/8)", "G*d*(28+1/8)", "G*d*14"),
    "dot_kernel": ("G*d*8", "G*d*8", "G*d*2"),
    "change_kernel": ("G*d*12", "G*d*12", "G*d"),
    "histogram_kernel": ("G*d*(4+1/8)", "G*d*(4+1/8)", "G*d*4"),
    "equals_kernel": ("G*d*(4+1/8)", "0", "G*d*2"),
    "choose_kernel": ("G*d*(4+2/8)", "G*d/8", "G*d*4"),
    "check_kernel<4>": ("G*d*(4+1/8)", "0", "G*d"),
    "accumulate_kernel<4>": ("G*d*(4+1/8)+d*24", "G*d*(4+1/8)+d*24", "G*d*3"),
    "divide_kernel": ("d*20", "d*20", "d*3"),
    "move_kernel<true>": ("G*d*(8/2+1/8)", "G*d*(8/2+1/8)", "G*d"),
}


def short(name):
    """A kernel's name without its arguments and namespaces; a product by what it is and its tile."""
    name = re.sub(r"\((?:anonymous namespace|int)\)|<?unnamed>::|[a-z_]+::", "", name).replace("::", "")
    name = re.sub(r"(?<=_kernel)(?=[A-Z])", "<", name.replace("void ", "").split("(")[0].strip())  # ncu loses it
    product = re.search(r"product_kernel<(\w+), Tiling<(\d+), (\d+), \d+>", name)
    return f"{product.group(1)} {product.group(2)} x {product.group(3)}" if product else re.sub(r"\s+", "", name)


def kernels(nvcc):
    """Yields (file, kernel, registers, static shared bytes, spilled bytes)."""
    for source in sorted((ROOT / "cuda").glob("ops_*.cu")):
        command = [nvcc, f"-arch={ARCHITECTURE}", "-std=c++20", "--expt-relaxed-constexpr", "-Xptxas", "-v", "-I",
                   ROOT / "cuda", "-I", ROOT / "src", "-c", source, "-o", "/dev/null"]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        readable = subprocess.run(["c++filt"], input=report, check=True, capture_output=True, text=True).stdout
        for entry in readable.split("Compiling entry function ")[1:]:
            name = short(re.search(r"'(.*?)' for 'sm_", entry).group(1))
            shared = re.search(r"(\d+) bytes smem", entry)
            spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", entry))
            registers = int(re.search(r"Used (\d+) registers", entry).group(1))
            yield source.name, name, registers, int(shared.group(1)) if shared else 0, spills


def tile_of(name):
    """Rows and columns of a product's tile, or None."""
    tile = re.search(r" (\d+) x (\d+)$", name)
    return tile and (int(tile.group(1)), int(tile.group(2)))


def given_at_launch(name):
    """Bytes of shared memory that a launch gives: two halves of tiles 16 deep, or what slices of k leave to be added."""
    tile = tile_of(name)
    if not tile:
        return next((size for known, size in DYNAMIC.items() if name.startswith(known)), 0)
    return 4 * max(2 * 16 * (sum(tile) + 8), 3 * tile[0] * tile[1] if tile[0] == 32 else 0)


def occupancy(name, registers, shared):
    """The share of a multiprocessor's threads that blocks of ours fill."""
    block = BLOCK_OF_PRODUCTS if tile_of(name) else BLOCK
    by_registers = REGISTERS // (-(-registers * 32 // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE * (block // 32))
    by_shared = SHARED // (shared + RESERVED)
    return min(by_registers, by_shared, BLOCKS, THREADS // block) * block / THREADS


def longest_launches(path):
    """Microseconds by kernel: ncu's table."""
    longest = {}
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if line.startswith('"')):
            if row["Metric Name"] == "gpu__time_duration.sum":
                scale = {"ns": 1e-3, "us": 1, "usecond": 1, "nsecond": 1e-3}[row["Metric Unit"]]
                name, value = short(row["Kernel Name"]), float(row["Metric Value"].replace(",", "")) * scale
                longest[name] = max(longest.get(name, 0), value)
    return longest


def main(nvcc, measured):
    print(f"| file | kernel | registers | shared bytes | spilled bytes | threads that fit |\n{'|---' * 6}|")
    spilled = 0
    for file, name, registers, shared, spills in kernels(nvcc):
        shared += given_at_launch(name)
        print(f"| {file} | `{name}` | {registers} | {shared:,} | {spills} | {occupancy(name, registers, shared):.0%} |")
        spilled += spills
    longest = longest_launches(measured) if measured else {}
    print("\n" + ", ".join(f"{name} = {value:,}" for name, value in CASE.items()) + "\n")
    print("| kernel | bytes moved | : fewest | operations | limit | predicted, H100, us | measured, us |\n" + "|---" * 7 + "|")
    for name, formulas in COSTS.items():
        moved, least, operations = (eval(formula, {}, CASE) for formula in formulas)
        by_bytes, by_operations = moved / BANDWIDTH, operations / FLOPS
        ratio = f"{moved / least:.2f}" if least else "saved by fusing"
        time = f"{longest[name]:,.0f}" if name in longest else ""
        print(f"| `{name}` | {formulas[0].replace('*', ' ')} = {moved / 1e6:,.0f} MB | {ratio} | {operations / 1e9:,.2f} G "
              f"| {'bytes' if by_bytes > by_operations else 'arithmetic'} | {max(by_bytes, by_operations) * 1e6:,.0f} | {time} |")
    if spilled:
        sys.exit("a kernel spills registers: see the first table")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "nvcc", sys.argv[2] if len(sys.argv) > 2 else None)
