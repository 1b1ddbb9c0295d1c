"""What the compiler made of the kernels in cuda/, what they would cost at best, and what they cost.

Usage: /usr/bin/python3 bench/kernel_table.py [NVCC [MEASURED.csv]]

Compiles cuda/ops_*.cu for one architecture (sm_90: H100) and prints three tables for docs/performance.md. The first is read
from the compiler's report: registers, shared memory, spills, and the share of a multiprocessor's 2048 threads that fit. The
second is arithmetic (kernel_costs.py): the bytes that a kernel moves, the fewest possible, its operations, and the time that
the larger of both takes at an H100's 3.35 TB/s and 67 TFLOP/s; beside it the time measured on a GPU, the longest launch of
each kernel, from the last measurement or a file of

    ncu --csv --metrics gpu__time_duration.sum -c 300 device_bench cuda 0 cnn 100 > MEASURED.csv

The third is what the tiles of products ask of the caches. Spills, kernels without a cost and costs without a kernel end the
script with an error.
"""

import csv
import pathlib
import re
import subprocess
import sys

import kernel_costs

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURE = "sm_90"
# Of a multiprocessor with compute capability 9.0.
REGISTERS, THREADS, SHARED, BLOCKS, REGISTERS_AT_ONCE, RESERVED = 65536, 2048, 228 * 1024, 32, 256, 1024
BLOCK, BLOCK_OF_PRODUCTS = 256, 128   # threads
DYNAMIC = {"channel_sums_kernel": 256 * 8, "move_kernel": 64 * 4}   # bytes of shared memory given at the launch


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
    """Prints the tables; ends with what is wrong."""
    print(f"| file | kernel | registers | shared bytes | spilled bytes | threads that fit |\n{'|---' * 6}|")
    names, faults = [], []
    for file, name, registers, shared, spills in kernels(nvcc):
        shared += given_at_launch(name)
        print(f"| {file} | `{name}` | {registers} | {shared:,} | {spills} | {occupancy(name, registers, shared):.0%} |")
        names.append(name)
        if spills:
            faults.append(f"{name} spills {spills} bytes of registers")
    print("\n" + "; ".join(f"{name} = {value:,} {meaning}" for name, (value, meaning) in kernel_costs.CASE.items()) + ".\n")
    kernel_costs.print_costs(longest_launches(measured) if measured else kernel_costs.MEASURED)
    print()
    kernel_costs.print_asked()
    faults += kernel_costs.faults(names)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "nvcc", sys.argv[2] if len(sys.argv) > 2 else None)
