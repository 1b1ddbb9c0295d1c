"""What the compiler made of the kernels in cuda/, and what they would cost at best.

Usage: /usr/bin/python3 bench/kernel_table.py [NVCC]

Compiles cuda/ops_*.cu for one architecture (sm_90: H100) and prints two tables for docs/performance.md. The first is read
from the compiler's report: registers, shared memory, spills, and the share of a multiprocessor's 2048 threads that fit. The
second is arithmetic and no measurement: the bytes that a kernel moves, the fewest possible, its operations, and the time
that the larger of both takes at an H100's 3.35 TB/s and 67 TFLOP/s. Spills end the script with an error.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURE = "sm_90"
BANDWIDTH, FLOPS = 3.35e12, 67e12
# Of a multiprocessor with compute capability 9.0.
REGISTERS, THREADS, SHARED, BLOCKS, REGISTERS_AT_ONCE, RESERVED = 65536, 2048, 228 * 1024, 32, 256, 1024
BLOCK = 256                                     # threads of our blocks
DYNAMIC = {"implicit_gemm": 2 * 16 * 68 * 4, "move_kernel": 64 * 4}   # bytes of shared memory given at the launch

# The case of the second table: G clients of `cnn` (28 x 28, 10 classes), half of whose parameters are personal.
CASE = {
    "G": 100, "B": 32,                          # clients, samples of a batch
    "d": 582_026,                               # parameters of a client
    "x1": 28 * 28, "y1": 28 * 28 * 32,          # values of a sample: image, first convolution,
    "x2": 14 * 14 * 32, "y2": 14 * 14 * 64,     # second convolution: what it reads and makes
    "w2": 25 * 32 * 64,                         # its weights
}
# Kernel: bytes moved, fewest bytes, operations; each for one launch.
COSTS = {
    "gather_kernel": ("G*B*x1*(1+4)", "G*B*x1*(1+4)", "G*B*x1*2"),
    "implicit_gemm<Forward>": ("G*4*(B*x2+w2+B*y2)", "G*4*(B*x2+w2+B*y2)", "G*B*196*w2*2"),
    "implicit_gemm<ByInput>": ("G*4*(B*y2+w2+B*x2)", "G*4*(B*y2+w2+B*x2)", "G*B*196*w2*2"),
    "implicit_gemm<ByWeight>": ("G*4*(B*x2+B*y2+4*w2)", "G*4*(B*x2+B*y2+w2)", "G*B*196*w2*2"),
    "add_parts_kernel": ("G*4*5*w2", "0", "G*3*w2"),
    "relu_forward_kernel": ("G*B*y1*8", "0", "G*B*y1"),
    "max_forward_kernel": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "max_backward_kernel": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "cross_entropy_kernel": ("G*B*10*8", "G*B*10*8", "G*B*10*40"),
    "sgd_kernel": ("G*d*(12+1/8)", "G*d*(12+1/8)", "G*d*2"),
    "adam_kernel": ("G*d*(28+1/8)", "G*d*(28+1/8)", "G*d*14"),
    "dot_kernel": ("G*d*8", "G*d*8", "G*d*2"),
    "change_kernel": ("G*d*12", "G*d*12", "G*d"),
    "histogram_kernel": ("G*d*(4+1/8)", "G*d*(4+1/8)", "G*d*4"),
    "equals_kernel": ("G*d*(4+1/8)", "0", "G*d*2"),
    "choose_kernel": ("G*d*(4+2/8)", "G*d/8", "G*d*4"),
    "check_kernel": ("G*d*(4/2+1/8)", "0", "G*d"),
    "accumulate_kernel": ("G*d*(4/2+1/8)+d*24", "G*d*(4/2+1/8)+d*24", "G*d*3"),
    "divide_kernel": ("d*20", "d*20", "d*3"),
    "move_kernel<true>": ("G*d*(8/2+1/8)", "G*d*(8/2+1/8)", "G*d"),
}


def kernels(nvcc):
    """Yields (file, kernel, registers, static shared bytes, spilled bytes)."""
    for source in sorted((ROOT / "cuda").glob("ops_*.cu")):
        command = [nvcc, f"-arch={ARCHITECTURE}", "-std=c++20", "--expt-relaxed-constexpr", "-Xptxas", "-v", "-I",
                   ROOT / "cuda", "-I", ROOT / "src", "-c", source, "-o", "/dev/null"]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        readable = subprocess.run(["c++filt"], input=report, check=True, capture_output=True, text=True).stdout
        for entry in readable.split("Compiling entry function ")[1:]:
            name = re.search(r"(\w+(?:<[^()]*>)?)\(", entry.replace("(anonymous namespace)::", "")).group(1)
            name = re.sub(r"fedselect::cuda::", "", name)
            shared = re.search(r"(\d+) bytes smem", entry)
            spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", entry))
            registers = int(re.search(r"Used (\d+) registers", entry).group(1))
            yield source.name, name, registers, int(shared.group(1)) if shared else 0, spills


def occupancy(registers, shared):
    """The share of a multiprocessor's threads that blocks of ours fill."""
    by_registers = REGISTERS // (-(-registers * 32 // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE * (BLOCK // 32))
    by_shared = SHARED // (shared + RESERVED)
    return min(by_registers, by_shared, BLOCKS, THREADS // BLOCK) * BLOCK / THREADS


def main(nvcc):
    print(f"| file | kernel | registers | shared bytes | spilled bytes | threads that fit |\n{'|---' * 6}|")
    spilled = 0
    for file, name, registers, shared, spills in kernels(nvcc):
        shared += next((size for known, size in DYNAMIC.items() if name.startswith(known)), 0)
        print(f"| {file} | `{name}` | {registers} | {shared:,} | {spills} | {occupancy(registers, shared):.0%} |")
        spilled += spills
    print("\n" + ", ".join(f"{name} = {value:,}" for name, value in CASE.items()) + "\n")
    print(f"| kernel | bytes moved | : fewest | operations | predicted, H100 | limit |\n{'|---' * 6}|")
    for name, formulas in COSTS.items():
        moved, least, operations = (eval(formula, {}, CASE) for formula in formulas)
        by_bytes, by_operations = moved / BANDWIDTH, operations / FLOPS
        ratio = f"{moved / least:.2f}" if least else "saved by fusing"
        print(f"| `{name}` | {formulas[0].replace('*', ' ')} = {moved / 1e6:,.0f} MB | {ratio} | {operations / 1e9:,.2f} G "
              f"| {max(by_bytes, by_operations) * 1e6:,.1f} us | {'bytes' if by_bytes > by_operations else 'arithmetic'} |")
    if spilled:
        sys.exit("a kernel spills registers: see the first table")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "nvcc")
