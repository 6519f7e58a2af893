# Follows secret bytes through the machine code of a kernel: where they may reach a branch, an address or the stack.
"""The kernel is run on abstract values from each of its entry points, calls and all, until nothing changes any more.

A value is secret or public, and where it is an address, the object and the offset that it points to. Secret is what was
loaded from anywhere but the stack and the public fields of the caller's structures, and whatever was made of it. What
the analysis cannot tell counts as secret, and an instruction that it does not know is a finding.

Taken for granted: the caller's buffers and structures do not overlap the kernel's stack or each other's fields."""

import collections
import re

Value = collections.namedtuple("Value", "secret base offset")
PUBLIC = Value(False, None, None)
SECRET = Value(True, None, None)
NUMBER = "number"  # offset is the number itself
STACK = "stack"  # offset is from the return address of the entry point
LOST = "lost"  # may point into the stack, nobody knows where


def number(value):
    return Value(False, NUMBER, value)


def mixed(*values):
    """What comes of an operation that is not followed more closely."""
    lost = any(value.base in (STACK, LOST) for value in values)
    return Value(any(value.secret for value in values), LOST if lost else None, None)


def joined(a, b):
    if a == b:
        return a
    if a.base == b.base and a.base != NUMBER:
        return Value(a.secret or b.secret, a.base, None)
    return mixed(a, b)


def added(a, b):
    if a.base in (None, NUMBER) and b.base not in (None, NUMBER):
        a, b = b, a
    if b.base not in (None, NUMBER):
        return mixed(a, b)
    secret = a.secret or b.secret
    if a.offset is not None and b.base == NUMBER:
        return Value(secret, a.base, wrapped(a.offset + b.offset))
    return Value(secret, None if a.base == NUMBER else a.base, None)


def subtracted(a, b):
    if b.base == NUMBER:
        return added(a, number(-b.offset))
    return added(a, b) if b.base is None else mixed(a, b)


def wrapped(value):
    """As a signed 64-bit number."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


GENERAL = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()


def general_registers():
    """{name: (register, bytes)}"""
    names = {}
    for register in GENERAL:
        names[register] = (register, 8)
        if register[1].isdigit():
            for suffix, size in (("d", 4), ("w", 2), ("b", 1)):
                names[register + suffix] = (register, size)
            continue
        short = register[1:]
        names["e" + short] = (register, 4)
        names[short] = (register, 2)
        low = short[0] if short.endswith("x") else short
        names[low + "l"] = (register, 1)
        if short.endswith("x"):
            names[low + "h"] = (register, 1)
    return names


REGISTERS = general_registers()
REGISTERS.update((f"k{index}", (f"k{index}", 8)) for index in range(8))
for kind, len_ in (("xmm", 16), ("ymm", 32), ("zmm", 64)):
    for index in range(32):
        REGISTERS[f"{kind}{index}"] = (f"v{index}", len_)

MEMORY = re.compile(r"^(?P<displacement>-?0x[0-9a-f]+)?\((?P<base>%\w+)?(?:,(?P<index>%\w+),(?P<scale>\d))?\)$")

# Instructions by what they do, without the suffix for the operand's size. All but division take a time that does not
# depend on values.
CONDITIONS = "o|no|b|c|ae|nb|nc|e|z|ne|nz|be|na|a|nbe|s|ns|p|np|l|ge|le|g"
JUMP = re.compile(rf"j({CONDITIONS})$")
CMOV = re.compile(rf"cmov({CONDITIONS})[lqw]?$")
SET = re.compile(rf"set({CONDITIONS})$")
FLAGLESS = re.compile(r"(pext|pdep|rorx|sarx|shlx|shrx)[lq]?$")
PADDING = re.compile(r"nop[lw]?$")
PREFETCH = re.compile(r"prefetch\w+$")
COMPARE = re.compile(r"(cmp|test|bt)[bwlq]?$")
MOVE = re.compile(r"mov(abs|[bwlq]|[zs][bwl][wlq]|slq)?$")
BINARY = re.compile(r"(add|sub|and|or|xor|adc|sbb|imul|shl|shr|sar|rol|ror)[bwlq]?$")
KEEPS_FLAGS = re.compile(r"(shl|shr|sar|rol|ror|inc|dec)[bwlq]?$")  # some of them, sometimes
USES_FLAGS = re.compile(r"(adc|sbb)[bwlq]?$")
UNARY = re.compile(r"(neg|not|inc|dec|bswap|shl|shr|sar)[bwlq]?$")
WIDE = re.compile(r"i?(mul|div)[bwlq]?$")
EXTEND = {"cltq": "rax", "cwtl": "rax", "cqto": "rdx", "cltd": "rdx"}
VECTOR_MOVE = re.compile(r"v?(mov(dqa|dqu|aps|ups|apd|upd|ntdq|ntps|q|d)(8|16|32|64)?|lddqu)$")
VECTOR_EXTRACT = re.compile(r"v?(pextr|extract[fi]?)([bwdq]|ps|128|32x4|64x2|32x8|64x4)$")
EXTRACTED = {"b": 1, "w": 2, "d": 4, "q": 8, "ps": 4, "128": 16, "32x4": 16, "64x2": 16, "32x8": 32, "64x4": 32}
VECTOR_FLAGS = re.compile(r"(v?(ptest|testp[sd])|k(or)?test[bwdq])$")
MASK_MOVE = re.compile(r"kmov[bwdq]$")
MASKED = re.compile(r"(?P<register>%[xyz]mm\d+|%k\d)\{(?P<mask>%k\d)\}(?P<zeroed>\{z\})?$")
VECTOR = re.compile(
    r"v?(p?(xor|or|andn?)(ps|pd|d|q)?|aes(enc|dec)(last)?|aesimc|aeskeygenassist|shufp[sd]|pshuf(b|d|hw|lw)"
    r"|p(add|sub)[bwdq]|p(min|max)[us][bwdq]|ps(ll|rl|ra)[wdq]|ps(ll|rl)dq|punpck[lh](bw|wd|dq|qdq)|unpck[lh]p[sd]"
    r"|pbroadcast[bwdq]|broadcast[fi](128|32x[248]|64x[24])|pinsr[bwdq]|insert[fi](128|32x[48]|64x[24])"
    r"|pclmul([lh]q[lh]q)?dq|pternlog[dq]|ptestn?m[bwdq]|perm2[fi]128"
    r"|shuf[fi](32x4|64x2)|palignr|pblend[wd]|pcmpeq[bwdq]|k(and|andn|or|xor|xnor|not|add|shiftl|shiftr)[bwdq])$"
)


CALLER_SAVED = {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"} | {f"v{index}" for index in range(32)}


def is_padding(instruction):
    return PADDING.match(instruction.mnemonic) or instruction.text == "xchg   %ax,%ax"


class Machine:
    """The registers and the stack at one point of the program."""

    def __init__(self, registers, flags_secret=False, stack=None):
        self.registers = registers
        self.flags_secret = flags_secret
        self.stack = stack if stack is not None else {}  # {offset: (bytes, value)}

    def copy(self):
        return Machine(dict(self.registers), self.flags_secret, dict(self.stack))

    def key(self):
        return (frozenset(self.registers.items()), self.flags_secret, frozenset(self.stack.items()))

    def join(self, other):
        """Takes in what `other` may be; True if that changed anything."""
        before = self.key()
        for name, value in self.registers.items():
            self.registers[name] = joined(value, other.registers[name])
        self.flags_secret |= other.flags_secret
        kept = {}
        for offset, (size, value) in self.stack.items():
            if offset in other.stack and other.stack[offset][0] == size:
                kept[offset] = (size, joined(value, other.stack[offset][1]))
        self.stack = kept
        return self.key() != before

    def load(self, offset, size):
        if offset in self.stack and self.stack[offset][0] == size:
            return self.stack[offset][1]
        parts = {at: slot for at, slot in self.stack.items() if at < offset + size and offset < at + slot[0]}
        covered = {byte for at, slot in parts.items() for byte in range(at, at + slot[0])}
        if not covered.issuperset(range(offset, offset + size)):
            return SECRET  # never written: nobody knows what it was
        return mixed(*(slot[1] for slot in parts.values()))

    def store(self, offset, size, value):
        for at in [at for at, slot in self.stack.items() if at < offset + size and offset < at + slot[0]]:
            del self.stack[at]
        self.stack[offset] = (size, value)

    def forget_below(self, offset):
        for at in [at for at in self.stack if at < offset]:
            del self.stack[at]


Finding = collections.namedtuple("Finding", "address rule text")


class Analysis:
    def __init__(self, instructions, public_fields):
        self.code = instructions
        self.index = {instruction.address: i for i, instruction in enumerate(instructions)}
        self.public_fields = public_fields  # {object: [(offset, bytes)]}
        self.findings = set()
        self.visited = set()
        self.exits = {}  # {(address, machine): machine after the return, or None}
        self.active = []
        self.now = None  # the instruction in work
        self.leaders = self.find_leaders()

    def find_leaders(self):
        leaders = set()
        for instruction in self.code:
            if instruction.mnemonic.startswith("j"):
                leaders.add(self.target_of(instruction))
        return leaders

    @staticmethod
    def target_of(instruction):
        """The address of a direct branch within the object, or None."""
        operand = instruction.operands[0] if instruction.operands else ""
        if instruction.target is not None or not re.fullmatch(r"[0-9a-f]+", operand):
            return None
        return int(operand, 16)

    def find(self, rule):
        self.findings.add(Finding(self.now.address, rule, self.now.text))

    # ---- from entry point to return ----

    def run_entry(self, address, arguments):
        registers = {name: PUBLIC for name, _ in REGISTERS.values()}
        registers.update(arguments, rsp=Value(False, STACK, 0))
        self.run_function(address, Machine(registers, stack={0: (8, PUBLIC)}))

    def run_function(self, address, machine):
        """The machine after the function's return, or None if it has none."""
        key = (address, machine.key())
        if key not in self.exits:
            if address in self.active:
                self.find("recursion")
                return None
            self.active.append(address)
            self.exits[key] = self.run_blocks(address, machine)
            self.active.pop()
        result = self.exits[key]
        return result.copy() if result is not None else None

    def run_blocks(self, address, machine):
        entry_rsp = machine.registers["rsp"]
        at_entry = {address: machine.copy()}
        pending = [address]
        result = None
        while pending:
            block = pending.pop()
            for target, after in self.run_block(block, at_entry[block].copy()):
                if target is None:
                    if after.registers["rsp"] != entry_rsp:
                        self.find("stack pointer")
                    if result is None:
                        result = after
                    else:
                        result.join(after)
                elif target not in at_entry:
                    at_entry[target] = after.copy()
                    pending.append(target)
                elif at_entry[target].join(after):
                    pending.append(target)
        return result

    def run_block(self, address, machine):
        """(where to, machine) of each way out of the block at `address`; where to is None for a return."""
        i = self.index[address]
        while True:
            if i >= len(self.code):
                self.find("leaves the object")
                return []
            self.now = instruction = self.code[i]
            self.visited.add(instruction.address)
            name = instruction.mnemonic
            i += 1
            if name == "ret":
                return [(None, machine)]
            if name in ("ud2", "hlt", "int3"):
                return []
            if name in ("jmp", "call") or JUMP.match(name):
                target = self.target_of(instruction)
                if target not in self.index:
                    self.find("leaves the object")
                    if name != "call":
                        return []
                    machine.registers.update(dict.fromkeys(CALLER_SAVED, SECRET))
                elif name == "jmp":
                    return [(target, machine)]
                elif name == "call":
                    machine = self.run_call(instruction, target, machine)
                    if machine is None:
                        return []
                else:
                    if machine.flags_secret:
                        self.find("branch")
                    return [(target, machine.copy()), (self.code[i].address, machine)]
            else:
                self.step(instruction, machine)
            if i < len(self.code) and self.code[i].address in self.leaders:
                return [(self.code[i].address, machine)]

    def run_call(self, instruction, target, machine):
        rsp = machine.registers["rsp"]
        if rsp.base != STACK or rsp.offset is None:
            self.find("stack pointer")
            return None
        machine.forget_below(rsp.offset)
        machine.registers["rsp"] = added(rsp, number(-8))
        machine.store(rsp.offset - 8, 8, PUBLIC)
        after = self.run_function(target, machine)
        self.now = instruction
        if after is not None:
            after.registers["rsp"] = rsp
            after.forget_below(rsp.offset)
        return after

    # ---- operands ----

    def register_of(self, operand):
        """(register, bytes) or None."""
        return REGISTERS.get(operand[1:]) if operand.startswith("%") else None

    def is_vector(self, operand):
        register = self.register_of(operand)
        return register is not None and register[0].startswith("v")

    def address_of(self, operand, machine):
        """The address that a memory operand means."""
        match = MEMORY.match(operand)
        if not match:
            return None
        if match["base"] == "%rip":
            return Value(False, "constants", None)
        address = number(int(match["displacement"] or "0", 16))
        if match["base"]:
            address = added(self.read_register(match["base"], machine), address)
        if match["index"]:
            index = self.read_register(match["index"], machine)
            scale = int(match["scale"])
            if scale != 1:
                index = number(index.offset * scale) if index.base == NUMBER else mixed(index)
            address = added(address, index)
        return address

    def read_register(self, operand, machine):
        register = self.register_of(operand)
        if register is None:
            self.find("unknown instruction")
            return SECRET
        value = machine.registers[register[0]]
        if register[1] < 8 and value.base != NUMBER:
            return mixed(value)
        return value

    def accessed(self, operand, machine):
        """The address of a memory operand that is loaded from or stored to."""
        address = self.address_of(operand, machine)
        if address is None:
            self.find("unknown instruction")
            return SECRET
        if address.secret:
            self.find("address")
        if address.base == LOST or (address.base == STACK and address.offset is None):
            self.find("lost stack address")
        return address

    def read(self, operand, machine, size=8):
        if operand.startswith("$"):
            return number(wrapped(int(operand[1:], 16)))
        if operand.startswith("%"):
            return self.read_register(operand, machine)
        address = self.accessed(operand, machine)
        if address.base == STACK and address.offset is not None:
            return machine.load(address.offset, size)
        if address.base == "constants" or self.is_public_field(address, size):
            return PUBLIC
        return SECRET

    def is_public_field(self, address, size):
        if address.offset is None:
            return False
        fields = self.public_fields.get(address.base, ())
        return any(at <= address.offset and address.offset + size <= at + len_ for at, len_ in fields)

    def overlaps_public_field(self, address, size):
        if address.offset is None:
            return False
        fields = self.public_fields.get(address.base, ())
        return any(at < address.offset + size and address.offset < at + len_ for at, len_ in fields)

    def write(self, operand, value, machine, size=8, is_vector=False):
        register = self.register_of(operand)
        if register is not None:
            old = machine.registers[register[0]]
            if register[1] < 4:
                value = mixed(old, value)  # the rest of the register stays
            elif register[1] == 4:
                value = number(value.offset % (1 << 32)) if value.base == NUMBER else mixed(value)
            machine.registers[register[0]] = value
            return
        address = self.accessed(operand, machine)
        if address.base == STACK:
            if value.secret:
                self.find("vector on the stack" if is_vector else "secret on the stack")
            if address.offset is not None:
                machine.store(address.offset, size, value)
        elif value.secret and self.overlaps_public_field(address, size):
            self.find("secret in a public field")

    def size_of(self, instruction):
        """Bytes of the operands of an instruction on general registers."""
        for operand in reversed(instruction.operands):
            register = self.register_of(operand)
            if register is not None:
                return register[1]
        return {"b": 1, "w": 2, "l": 4}.get(instruction.mnemonic[-1], 8)

    # ---- instructions ----

    def step(self, instruction, machine):
        name, operands = instruction.mnemonic, instruction.operands
        masked = MASKED.match(operands[-1]) if operands else None
        if masked:
            return self.step_masked(name, [*operands[:-1], masked["register"]], masked, machine)
        if any("{" in operand or ":" in operand for operand in operands):
            self.find("unknown instruction")  # masked stores, broadcasts and segments are not followed
        elif is_padding(instruction) or name in ("endbr64", "vzeroupper", "sfence"):
            pass
        elif name == "vzeroall":
            machine.registers.update((f"v{index}", number(0)) for index in range(16))
        elif PREFETCH.match(name):
            if self.address_of(operands[0], machine).secret:
                self.find("address")
        elif not self.step_general(name, operands, self.size_of(instruction), machine):
            if not self.step_vector(name, operands, machine):
                self.find("unknown instruction")

    def step_masked(self, name, operands, masked, machine):
        """An instruction on registers of which a mask selects what is written."""
        if any(self.register_of(operand) is None and not operand.startswith("$") for operand in operands):
            return self.find("unknown instruction")  # which bytes of memory it touches depends on the mask
        before = machine.registers[self.register_of(operands[-1])[0]]
        if not self.step_vector(name, operands, machine):
            return self.find("unknown instruction")
        values = [self.read(operands[-1], machine), self.read(masked["mask"], machine)]
        if not masked["zeroed"]:
            values.append(before)
        return self.write(operands[-1], mixed(*values), machine, 64, True)

    def step_general(self, name, operands, size, machine):
        """Does an instruction on general registers; False if it is none."""
        if any(self.is_vector(operand) for operand in operands):
            return False
        if name in ("push", "pop"):
            self.step_push_pop(name, operands[0], machine)
        elif name == "leave":
            machine.registers["rsp"] = machine.registers["rbp"]
            self.step_push_pop("pop", "%rbp", machine)
        elif COMPARE.match(name):
            machine.flags_secret = any([self.read(operand, machine, size).secret for operand in operands])
        elif name == "lea":
            self.write(operands[1], self.address_of(operands[0], machine), machine)
        elif MOVE.match(name):
            self.step_move(name, operands, size, machine)
        elif name == "xchg":
            values = [self.read(operand, machine, size) for operand in operands]
            for operand, value in zip(operands, reversed(values)):
                self.write(operand, value, machine, size)
        elif CMOV.match(name):
            values = [self.read(operand, machine, size) for operand in operands]
            value = joined(*values)
            self.write(operands[1], value._replace(secret=value.secret or machine.flags_secret), machine, size)
        elif SET.match(name):
            self.write(operands[0], SECRET if machine.flags_secret else PUBLIC, machine, 1)
        elif name in EXTEND:
            machine.registers[EXTEND[name]] = mixed(machine.registers["rax"])
        elif WIDE.match(name) and len(operands) == 1:
            self.step_wide(name, operands[0], size, machine)
        elif UNARY.match(name) and len(operands) == 1:
            self.result(name, mixed(self.read(operands[0], machine, size)), operands, size, machine)
        elif FLAGLESS.match(name):
            values = [self.read(operand, machine, size) for operand in operands[:-1]]
            self.write(operands[-1], mixed(*values), machine, size)
        elif BINARY.match(name):
            self.step_binary(name, operands, size, machine)
        else:
            return False
        return True

    def step_push_pop(self, name, operand, machine):
        rsp = machine.registers["rsp"]
        if rsp.base != STACK or rsp.offset is None:
            self.find("stack pointer")
        elif name == "push":
            value = self.read(operand, machine)
            machine.registers["rsp"] = added(rsp, number(-8))
            self.write("(%rsp)", value, machine)
        else:
            value = machine.load(rsp.offset, 8)
            machine.registers["rsp"] = added(rsp, number(8))
            self.write(operand, value, machine)

    def step_move(self, name, operands, size, machine):
        narrow = re.match(r"mov[zs]([bwl])[wlq]$", name)
        source_size = {"b": 1, "w": 2, "l": 4}[narrow.group(1)] if narrow else size
        if name == "movslq":
            source_size = 4
        value = self.read(operands[0], machine, source_size)
        self.write(operands[1], mixed(value) if source_size != size else value, machine, size)

    def step_wide(self, name, operand, size, machine):
        """mul and div: rdx and rax with one operand."""
        values = [self.read(operand, machine, size), machine.registers["rax"]]
        if "div" in name:
            values.append(machine.registers["rdx"])
            if any(value.secret for value in values):
                self.find("division")  # takes a time that depends on the values
        value = mixed(*values)
        machine.registers["rax"] = machine.registers["rdx"] = value
        machine.flags_secret = value.secret

    def step_binary(self, name, operands, size, machine):
        if len(operands) == 1:  # shift by one
            return self.result(name, mixed(self.read(operands[0], machine, size)), operands, size, machine)
        if name.startswith(("xor", "sub")) and operands[0] == operands[1]:
            return self.result(name, number(0), operands, size, machine)
        values = [self.read(operand, machine, size) for operand in operands[: 2 if len(operands) == 2 else -1]]
        if name.startswith("add"):
            value = added(values[1], values[0])
        elif name.startswith("sub"):
            value = subtracted(values[1], values[0])
        elif name.startswith("and") and values[1].base == STACK and values[1].offset is not None:
            # A frame is aligned. Taking the caller's to be aligned already changes no object's place in its frame.
            aligned = values[0].base == NUMBER and values[0].offset < 0
            value = values[1]._replace(offset=values[1].offset & values[0].offset) if aligned else mixed(*values)
        else:
            value = mixed(*values)
        if USES_FLAGS.match(name):
            value = value._replace(secret=value.secret or machine.flags_secret)
        return self.result(name, value, operands, size, machine)

    def result(self, name, value, operands, size, machine):
        if name.startswith(("not", "bswap")):
            pass  # no flags
        elif KEEPS_FLAGS.match(name):
            machine.flags_secret |= value.secret
        else:
            machine.flags_secret = value.secret
        self.write(operands[-1], value, machine, size)

    def step_vector(self, name, operands, machine):
        """Does an instruction on vector registers; False if it is none that is known."""
        sizes = [register[1] for register in map(self.register_of, operands) if register is not None]
        if VECTOR_FLAGS.match(name):
            machine.flags_secret = any([self.read(operand, machine, max(sizes)).secret for operand in operands])
        elif MASK_MOVE.match(name):
            size = {"b": 1, "w": 2, "d": 4, "q": 8}[name[-1]]
            self.write(operands[1], mixed(self.read(operands[0], machine, size)), machine, size)
        elif VECTOR_MOVE.match(name) and len(operands) == 2:
            size = {"q": 8, "d": 4}.get(name[-1], min(sizes)) if re.match(r"v?mov[qd]$", name) else min(sizes)
            value = self.read(operands[0], machine, size)
            self.write(operands[1], value, machine, size, self.is_vector(operands[0]))
        elif VECTOR_EXTRACT.match(name):
            value = mixed(self.read(operands[1], machine))
            self.write(operands[2], value, machine, EXTRACTED[VECTOR_EXTRACT.match(name).group(2)], True)
        elif VECTOR.match(name):
            # Without the VEX prefix the destination is a source too.
            overwrites = name.startswith(("v", "k")) and "ternlog" not in name
            sources = operands[:-1] if overwrites else operands
            values = [self.read(operand, machine, max(sizes)) for operand in sources]
            is_zero = re.match(r"(v?p?(xor|sub)|kxor)", name) and len(set(sources)) == 1
            self.write(operands[-1], number(0) if is_zero else mixed(*values), machine, 64, True)
        else:
            return False
        return True
