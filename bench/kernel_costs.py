"""What the kernels in cuda/ cost by arithmetic: bytes that they move, the fewest possible, operations. For kernel_table.py.

Formulas are of one launch, in the numbers of CASE. They were read off the kernels; nothing here is measured but MEASURED.

Bytes moved are those between the GPU's memory and its chip: of an array that a kernel goes over, each value once, however
many threads and blocks that run side by side ask for it, for they find it in the caches (ASKED is what products ask of
these). Only group norm's two or three passes count each, though caches may hold some of their values. Memory moves sectors of
32 bytes, so that a mask whose bits lie scattered saves nothing. What is small beside the rest (a bias, a number a client, a
channel or a chunk of 4,096 parameters) is left out.

The fewest bytes are those that no implementation of the same operation does without. What a neighbouring kernel could do
while it has the values at hand is 0: its pass would be saved by fusing.

Operations are useful ones on values; a multiply-add is two, one in double precision counts twice (an H100 does half as many).
Finding addresses is left out, and so is what tiles that stand over the edge of a matrix multiply for nothing.
"""

BANDWIDTH, FLOPS = 3.35e12, 67e12   # of an H100: bytes, operations in single precision a second

# Name: value, meaning.
CASE = {
    "G": (100, "clients side by side"),
    "B": (32, "samples of a batch"),
    "b": (100, "of a large one, as in tests"),
    "d": (1_663_370, "parameters of `cnn` (images of 28 x 28, 10 classes), half of them personal"),
    "r": (8, "its tensors"),
    "n": (412, "their chunks of 4,096"),
    "x1": (28 * 28, "values of its image"),
    "y1": (28 * 28 * 32, "of its first convolution"),
    "w1": (25 * 32, "weights of that"),
    "x2": (14 * 14 * 32, "values that its second convolution reads"),
    "y2": (14 * 14 * 64, "and makes"),
    "w2": (25 * 32 * 64, "weights of that"),
    "x3": (7 * 7 * 64, "values that its first linear layer reads"),
    "y3": (512, "and makes"),
    "f": (512, "features that the last layer of `cnn` and of `resnet18` reads"),
    "c": (10, "classes"),
    "v18": (32 * 32 * 64, "values of `resnet18`'s first stage (images of 32 x 32)"),
    "k18": (64, "its channels"),
    "q18": (8, "groups of group norm"),
    "p18": (32 * 32 * 32 // 512, "parts of 512 pixels that norms add up a batch in"),
    "w18": (9 * 64 * 64, "weights of a convolution there"),
    "m18": (4 * 4 * 512, "values that `resnet18` takes the means of"),
    "v8": (16 * 16 * 32, "values of `resnet8`'s second stage"),
    "w8": (9 * 32 * 32, "weights of a convolution there"),
    "v5": (28 * 28 * 6, "values of `lenet5`'s first convolution"),
    "h": (32, "width of a narrow `mlp`"),
    "c2": (100, "its classes"),
}

# Kernel: bytes moved, fewest bytes, operations; by file, as the compiler reports them.
COSTS = {
    # ops_batches.cu
    "transpose_kernel": ("G*B*x3*8", "0", "0"),
    "gather_kernel": ("G*B*x1*(1+4)", "G*B*x1*(1+4)", "G*B*x1*2"),
    # ops_conv.cu: partial sums of 1,024 pixels, 25 of cnn's first convolution, 7 of its second, 8 of resnet8's
    "add_conv_parts_kernel": ("G*4*(7*w2+w2)", "0", "G*7*w2"),
    "pack_kernel": ("G*w2*8", "0", "0"),
    "ConvByWeight 128 x 64": ("G*4*(B*x2+B*y2+7*w2)", "G*4*(B*x2+B*y2+w2)", "G*B*196*w2*2"),
    "ConvByWeight 128 x 32": ("G*4*(B*v8+B*v8+8*w8)", "G*4*(B*v8+B*v8+w8)", "G*B*256*w8*2"),
    "ConvByWeight 32 x 32": ("G*4*(B*x1+B*y1+25*w1)", "G*4*(B*x1+B*y1+w1)", "G*B*784*w1*2"),
    "ConvByInput 128 x 64": ("G*4*(B*v18+w18+B*v18)", "G*4*(B*v18+w18+B*v18)", "G*B*1024*w18*2"),
    "ConvByInput 128 x 32": ("G*4*(B*y2+w2+B*x2)", "G*4*(B*y2+w2+B*x2)", "G*B*196*w2*2"),
    "ConvForward 128 x 64": ("G*4*(B*x2+w2+B*y2)", "G*4*(B*x2+w2+B*y2)", "G*B*196*w2*2"),
    "ConvForward 128 x 32": ("G*4*(B*x1+w1+B*y1)", "G*4*(B*x1+w1+B*y1)", "G*B*784*w1*2"),
    # ops_linear.cu: forward, partial sums of 256 inputs, 13 of cnn's first layer, 2 of its last
    "column_sums_kernel": ("G*4*(B*y3+y3)", "G*4*y3", "G*B*y3"),
    "add_linear_parts_kernel": ("G*4*(13*B*y3+B*y3)", "0", "G*14*B*y3"),
    "LinearByWeight 128 x 64": ("G*4*(x3*y3+B*x3+B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "LinearByWeight 128 x 32": ("G*4*(h*c2+B*h+B*c2)", "G*4*(h*c2+B*h+B*c2)", "G*B*h*c2*2"),
    "LinearByWeight 32 x 32": ("G*4*(f*c+B*f+B*c)", "G*4*(f*c+B*f+B*c)", "G*B*f*c*2"),
    "LinearByInput 128 x 64": ("G*4*(x3*y3+b*x3+b*y3)", "G*4*(x3*y3+b*x3+b*y3)", "G*b*x3*y3*2"),
    "LinearByInput 128 x 32": ("G*4*(x3*y3+B*x3+B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "LinearByInput 32 x 32": ("G*4*(h*c2+B*h+B*c2)", "G*4*(h*c2+B*h+B*c2)", "G*B*h*c2*2"),
    "LinearForward 128 x 64": ("G*4*(x3*y3+b*x3+13*b*y3)", "G*4*(x3*y3+b*x3+b*y3)", "G*b*x3*y3*2"),
    "LinearForward 128 x 32": ("G*4*(x3*y3+B*x3+13*B*y3)", "G*4*(x3*y3+B*x3+B*y3)", "G*B*x3*y3*2"),
    "LinearForward 32 x 32": ("G*4*(f*c+B*f+2*B*c)", "G*4*(f*c+B*f+B*c)", "G*B*f*c*2"),
    # ops_loss.cu: sums and the loss are in double; an exponential is some 60 operations
    "pull_kernel": ("G*f*(B*12+c*4)", "G*f*(B*4+c*4)", "G*B*f*3"),
    "class_squares_kernel": ("G*B*f*4", "0", "G*B*f*6"),
    "class_sums_kernel": ("G*f*(B*4+c*16)", "G*f*(B*4+c*16)", "G*B*f*4"),
    "cross_entropy_kernel": ("G*B*(c*8+4)", "G*B*(c*8+4)", "G*B*c*150"),
    # ops_norms.cu: sums in double, two a channel and part; evaluation takes a root and a quotient in double for each value
    "channel_sums_kernel<GroupProducts>": ("G*(B*v18*8+p18*k18*16)", "0", "G*B*v18*15"),
    "channel_sums_kernel<BatchProducts>": ("G*(B*v18*8+p18*k18*16)", "G*B*v18*4", "G*B*v18*11"),
    "channel_sums_kernel<Moments>": ("G*(B*v18*4+p18*k18*16)", "0", "G*B*v18*12"),
    "group_products_kernel": ("G*k18*(p18*16+8)", "G*k18*8", "G*k18*p18*4"),
    "group_gradient_kernel": ("G*B*v18*(8+8+4)", "G*B*v18*(8+4)", "G*B*v18*24"),
    "group_forward_kernel": ("G*B*(v18*(4+4+4+4)+q18*8)", "G*B*(v18*(4+4)+q18*8)", "G*B*v18*16"),
    "batch_gradient_kernel": ("G*B*v18*12", "G*B*v18*12", "G*B*v18*5"),
    "batch_products_kernel": ("G*k18*(p18*16+28)", "G*k18*16", "G*k18*p18*4"),
    "batch_evaluate_kernel": ("G*B*v18*8", "0", "G*B*v18*90"),
    "batch_apply_kernel": ("G*B*v18*8", "G*B*v18*8", "G*B*v18*4"),
    "batch_moments_kernel": ("G*k18*(p18*16+28)", "G*k18*24", "G*k18*p18*4"),
    # ops_pools.cu: windows of 2 x 2, one byte each says which value won
    "max_backward_kernel<1>": ("G*B*v5*(4+5/4)", "G*B*v5*(4+5/4)", "G*B*v5"),
    "max_backward_kernel<4>": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "max_forward_kernel<1>": ("G*B*v5*(4+5/4)", "G*B*v5*(4+5/4)", "G*B*v5"),
    "max_forward_kernel<4>": ("G*B*y1*(4+5/4)", "G*B*y1*(4+5/4)", "G*B*y1"),
    "mean_backward_kernel": ("G*B*(m18+f)*4", "G*B*(m18+f)*4", "G*B*m18"),
    "mean_forward_kernel": ("G*B*(m18+f)*4", "G*B*(m18+f)*4", "G*B*m18"),
    # ops_reductions.cu: sums in double, one a chunk; bits are worked on 64 at a time; magnitudes without a reference
    "count_kernel": ("G*d/8", "G*d/8", "G*d/64*2"),
    "or_kernel": ("G*d*3/8", "G*d*3/8", "G*d/64"),
    "and_not_kernel": ("G*d*3/8", "G*d*3/8", "G*d/64"),
    "change_kernel": ("G*d*8", "G*d*8", "G*d"),
    "magnitude_kernel": ("G*d*4", "G*d*4", "G*d*2"),
    "clip_kernel": ("G*(n*8+4)", "G*4", "G*n*2"),
    "total_kernel": ("G*(n*8+8)", "G*8", "G*n*2"),
    "dot_kernel": ("G*d*8", "G*d*8", "G*d*8"),
    # ops_selection.cu: 2,048 counters a tensor, 16 bytes that say what is known of its cut, a number a chunk
    "choose_kernel": ("G*d*(4+2/8)", "G*d/8", "G*d*4"),
    "offsets_kernel": ("G*n*8", "0", "G*n*2"),
    "equals_kernel": ("G*d*(4+1/8)", "0", "G*d*2"),
    "cut_kernel": ("G*r*(2048*8+32)", "G*r*32", "G*r*2048*2"),
    "histogram_kernel": ("G*(d*(4+1/8)+r*2048*8)", "G*d*(4+1/8)", "G*d*4"),
    "begin_kernel": ("G*r*24", "0", "0"),
    # ops_steps.cu: SGD without momentum
    "proximal_kernel": ("G*d*16", "G*d*4", "G*d*3"),
    "combine_kernel": ("G*d*12", "G*d*12", "G*d*3"),
    "adam_kernel": ("G*d*(28+1/8)", "G*d*(28+1/8)", "G*d*14"),
    "sgd_kernel": ("G*d*(12+1/8)", "G*d*(12+1/8)", "G*d*3"),
    # ops_sums.cu: personal values move, the others are added up, in sums of 8 bytes with weights of 4
    "move_kernel<false>": ("G*d*(4/2+4+1/8)", "G*d*(4/2+4+1/8)", "0"),
    "move_kernel<true>": ("G*d*(4+4/2+1/8)", "G*d*(4+4/2+1/8)", "0"),
    "accumulate_kernel<1>": ("G*d*(4+1/8)+d*24", "G*d*(4+1/8)+d*24", "G*d/2*10"),
    "accumulate_kernel<4>": ("G*d*(4+1/8)+d*24", "G*d*(4+1/8)+d*24", "G*d/2*10"),
    "check_kernel<1>": ("G*d*(4+1/8)", "0", "G*d*2"),
    "check_kernel<4>": ("G*d*(4+1/8)", "0", "G*d*2"),
    "ranks_kernel": ("G*(n*8+8)", "0", "G*n*2"),
    "chunk_bits_kernel": ("G*(d/8+n*8)", "0", "G*d/64*2"),
    "unshared_kernel": ("d*(4+1/8)", "d/8", "d"),
    "divide_kernel": ("d*(8+4+4)", "d*(8+4+4)", "d*30"),
    # ops_vectors.cu
    "map_kernel<ReluBackward>": ("G*B*y1/4*12", "0", "G*B*y1/4"),
    "map_kernel<ReluForward>": ("G*B*y1/4*8", "0", "G*B*y1/4"),
    "map_kernel<Add>": ("G*B*v18*12", "G*B*v18*4", "G*B*v18"),
}

# Product: bytes that its tiles ask of the caches, with all they load more than once: a tile reads its rows and its columns
# whole, a convolution the values of each window, here as if none stood over the image's edge.
ASKED = {
    "ConvByWeight 128 x 64": "G*4*(25*B*x2+7*B*y2+7*w2)",
    "ConvByWeight 128 x 32": "G*4*(9*B*v8+3*B*v8+8*w8)",
    "ConvByWeight 32 x 32": "G*4*(25*B*x1+B*y1+25*w1)",
    "ConvByInput 128 x 64": "G*4*(9*B*v18+256*w18+B*v18)",
    "ConvByInput 128 x 32": "G*4*(25*B*y2+49*w2+B*x2)",
    "ConvForward 128 x 64": "G*4*(25*B*x2+49*w2+B*y2)",
    "ConvForward 128 x 32": "G*4*(25*B*x1+196*w1+B*y1)",
    "LinearByWeight 128 x 64": "G*4*(x3*y3+4*B*x3+49*B*y3)",
    "LinearByWeight 128 x 32": "G*4*(h*c2+B*h+B*c2)",
    "LinearByWeight 32 x 32": "G*4*(f*c+B*f+16*B*c)",
    "LinearByInput 128 x 64": "G*4*(2*x3*y3+b*x3+25*b*y3)",
    "LinearByInput 128 x 32": "G*4*(x3*y3+B*x3+25*B*y3)",
    "LinearByInput 32 x 32": "G*4*(h*c2+B*h+B*c2)",
    "LinearForward 128 x 64": "G*4*(2*x3*y3+4*b*x3+13*b*y3)",
    "LinearForward 128 x 32": "G*4*(x3*y3+4*B*x3+13*B*y3)",
    "LinearForward 32 x 32": "G*4*(f*c+B*f+2*B*c)",
}

# Microseconds of a kernel's longest launch on an H100, 2026-11-26: `device_bench cuda 0 cnn 100`, by ncu.
MEASURED = {
    "gather_kernel": 21, "ConvForward 128 x 32": 347, "ConvForward 128 x 64": 1770, "ConvByInput 128 x 32": 2083,
    "ConvByWeight 32 x 32": 337, "ConvByWeight 128 x 64": 1934, "LinearForward 128 x 32": 418,
    "LinearByInput 128 x 32": 322, "LinearByWeight 128 x 64": 385, "map_kernel<ReluForward>": 53,
    "map_kernel<ReluBackward>": 78, "max_forward_kernel<4>": 142, "max_backward_kernel<4>": 167, "cross_entropy_kernel": 8,
    "sgd_kernel": 663, "change_kernel": 607, "histogram_kernel": 279, "equals_kernel": 245, "choose_kernel": 325,
    "check_kernel<4>": 234, "accumulate_kernel<4>": 277,
}


def value_of(formula):
    """What a formula comes to in the case."""
    return eval(formula, {}, {name: value for name, (value, _) in CASE.items()})


def shown(value):
    """A number as far as it matters."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def worked_out(formula, unit):
    """A formula and what it comes to."""
    value = value_of(formula)
    if value == 0:
        return "0"
    scale, prefix = next((scale, prefix) for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")) if value >= scale)
    return f"{formula.replace('*', ' ')} = {shown(value / scale)} {prefix}{unit}"


def print_costs(measured):
    """The table of all kernels; `measured`: microseconds by kernel."""
    print("| kernel | bytes moved | fewest | moved : fewest | operations | limit | predicted, H100, us | measured, us |\n"
          + "|---" * 8 + "|")
    for name, (moved, least, operations) in COSTS.items():
        by_bytes, by_operations = value_of(moved) / BANDWIDTH, value_of(operations) / FLOPS
        fewest = "the same" if least == moved else worked_out(least, "B")
        ratio = shown(value_of(moved) / value_of(least)) if value_of(least) else "saved by fusing"
        time = f"{measured[name]:,.0f}" if name in measured else ""
        print(f"| `{name}` | {worked_out(moved, 'B')} | {fewest} | {ratio} | {worked_out(operations, '')} "
              f"| {'bytes' if by_bytes > by_operations else 'arithmetic'} | {shown(max(by_bytes, by_operations) * 1e6)} "
              f"| {time} |")


def print_asked():
    """The table of what products ask of the caches."""
    print("| product | its tiles ask for | : bytes moved |\n" + "|---" * 3 + "|")
    for name, asked in ASKED.items():
        print(f"| `{name}` | {worked_out(asked, 'B')} | {shown(value_of(asked) / value_of(COSTS[name][0]))} |")


def faults(kernels):
    """What is wrong with the costs of these kernels, in words."""
    names, costs = set(kernels), set(COSTS)
    found = [f"{name}: two kernels have this name" for name in sorted(names) if kernels.count(name) > 1]
    found += [f"{name} has no cost in bench/kernel_costs.py" for name in sorted(names - costs)]
    found += [f"bench/kernel_costs.py has a cost of {name}, which is no kernel" for name in sorted(costs - names)]
    found += [f"{name} moves fewer bytes than the fewest possible" for name, (moved, least, _) in COSTS.items()
              if value_of(moved) < value_of(least)]
    return found
