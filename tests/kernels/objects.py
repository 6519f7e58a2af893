# What the checks of kernel objects share: disassembly, symbols, and objects compiled to break a rule on purpose.
import collections
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

# target: of a relocation, where the linker fills something in.
Instruction = collections.namedtuple("Instruction", "address section mnemonic operands text target")

SECTION = re.compile(r"^Disassembly of section (\S+):$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(.+)$")
RELOCATION = re.compile(r"^\s*([0-9a-f]+): (R_\S+)\s+(\S+)$")
# Prefixes that change nothing for the checks: padding, and the hint that a call needs no tracking.
PREFIXES = {"data16", "cs", "notrack", "bnd", "addr32"}


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def split_operands(text):
    """Operands, split at commas outside of parentheses."""
    return [operand.strip() for operand in re.findall(r"(?:\([^)]*\)|[^,(])+", text)]


def parse_instruction(address, section, text):
    text = text.split("#")[0].strip()
    words = text.split(None, 1)
    while len(words) > 1 and words[0] in PREFIXES:
        words = words[1].split(None, 1)
    operands = words[1] if len(words) > 1 else ""
    operands = re.sub(r"\s*<[^>]*>$", "", operands)  # the name that objdump puts behind a branch target
    return Instruction(address, section, words[0], split_operands(operands), text, None)


def disassemble(path):
    """The instructions of all sections that hold code, in order."""
    instructions = []
    section = None
    for line in output_of("objdump", "-dr", "--no-show-raw-insn", str(path)).split("\n"):
        if match := SECTION.match(line):
            section = match.group(1)
        elif match := INSTRUCTION.match(line):
            instructions.append(parse_instruction(int(match.group(1), 16), section, match.group(2)))
        elif match := RELOCATION.match(line):
            instructions[-1] = instructions[-1]._replace(target=match.group(3))
    return instructions


def table_entries(path):
    """{offset in the table: address in .text}, from the relocations of the one table that an object exports."""
    entries = {}
    section = None
    for line in output_of("objdump", "-r", str(path)).split("\n"):
        if match := re.match(r"^RELOCATION RECORDS FOR \[(.+)\]:$", line):
            section = match.group(1)
        match = re.match(r"^([0-9a-f]+) R_X86_64_64\s+\.text(?:\+0x([0-9a-f]+))?$", line)
        if match and re.match(r"\.(data|rodata)", section):
            entries[int(match.group(1), 16)] = int(match.group(2) or "0", 16)
    return entries


def table_kind(path):
    """kw or gcm: by the name of the table that an object exports."""
    names = re.findall(r" [A-Z] \S*k\w+?(Kw|Gcm)E$", output_of("nm", "--defined-only", str(path)), re.MULTILINE)
    if len(names) != 1:
        raise ValueError(f"{path}: expected one table of kernels, found {names}")
    return names[0].lower()


WIDEST = ("-maes", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mvaes")

# What vaes512_gcm.cc is compiled with.
GCM = (
    "-fno-schedule-insns2", "-fno-tree-loop-distribute-patterns", "-fno-reorder-blocks-and-partition",
    "-fno-exceptions", "-fno-rtti", "-mpclmul", "-mbmi2", "-mvpclmulqdq", *WIDEST,
)  # fmt: skip


def compile_object(compiler, source, path, machine=WIDEST, root=ROOT):
    """Compiles a kernel as aesni/CMakeLists.txt does, with the headers below `root`."""
    flags = ["-std=c++20", "-O3", "-fPIC", "-fno-tree-vectorize", "-mno-stv", "-fno-jump-tables",
             "-fno-reorder-blocks-and-partition", "-fno-stack-protector", "-mprfchw"]
    subprocess.run([compiler, *flags, *machine, f"-I{root}", "-c", str(source), "-o", str(path)], check=True)
