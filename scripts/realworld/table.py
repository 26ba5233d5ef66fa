#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Results of realworld.sh: measure a command, read reports, print rows.

    table.py measure FILE COMMAND...   run; seconds and KiB go to FILE
    table.py accept FOLDER             options that accept what was refused
    table.py rows PACKAGE-FOLDER       the rows of one package, for people
    table.py table WORK...             all rows, in Markdown
"""
import json
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

NAMES = 12  # functions named in a row


def measure(file, *command):
    start = time.monotonic()
    status = subprocess.run(command).returncode
    seconds = time.monotonic() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Path(file).write_text(f'{seconds:.2f} {memory}\n')
    return status if status >= 0 else 128 - status


def reports(folder):
    """(report or None, seconds, KiB, message) of each compared file."""
    for time_file in sorted(Path(folder).glob('*.time')):
        seconds, memory = time_file.read_text().split()
        base = time_file.with_suffix('')
        base = str(base)
        try:
            report = json.loads(Path(base + '.json').read_text())
        except ValueError:
            report = None
        message = Path(base + '.err').read_text().strip()
        yield report, float(seconds), int(memory), message


def accept(folder):
    for report, _, _, _ in reports(folder):
        for refusal in (report or {}).get('refusals', []):
            for option in ('--accept-type', '--accept-data'):
                if option + ' ' in refusal['remedy']:
                    name = refusal['subject'].split()[-1]
                    print(option, name, sep='\n')
                    break
    return 0


def merge(folder):
    """All files of one diff as one: a fix often changes several."""
    merged = {'functions': {}, 'refusals': {}, 'seconds': 0, 'memory': 0,
              'size': 0, 'compared': 0, 'skipped': 0, 'errors': [],
              'warnings': {}, 'accepted': {}, 'generators': set()}
    for report, seconds, memory, message in reports(folder):
        merged['seconds'] += seconds
        merged['memory'] = max(merged['memory'], memory)
        if report is None:
            merged['errors'].append(message or 'no report')
            continue
        merged['generators'].add(report['generator'])
        for function in report['functions']:
            merged['functions'][function['name']] = function
        for refusal in report['refusals']:
            key = refusal['subject'], refusal['reason']
            merged['refusals'][key] = refusal
        for warning in report['warnings']:
            merged['warnings'][warning] = True
        for kind in ('types', 'data'):
            for name in report['accepted'][kind]:
                merged['accepted'][name] = True
        merged['size'] += (report['bundle'] or {}).get('size', 0)
        merged['compared'] += report['totals']['functions']
        merged['skipped'] += report['totals']['skipped']
    return merged


def lines(path):
    try:
        return Path(path).read_text(errors='replace').splitlines()
    except FileNotFoundError:
        return None


def passed(result):
    return sum(1 for line in result
               if line.startswith(('PASS', 'ok', 'XFAIL')) or 'Passed' in line)


def differences(result, reference):
    return sorted(set(reference) ^ set(result))


def stopped(base):
    """After how many seconds tests were stopped that took too long, or ''."""
    return ''.join(lines(f'{base}.stopped') or [])


def passed_text(base, reference):
    """How many tests pass with NEW."""
    return f'{passed(reference)}{", stopped" if stopped(base) else ""}'


def tests_text(base, reference):
    """`the same` or how many lines differ."""
    result = lines(f'{base}.result')
    if result is None:
        return '-'
    count = len(set(reference) - set(result))
    text = 'the same' if not count else f'{count} differ'
    if stopped(base):
        text += f', STOPPED AFTER {stopped(base)} s'
    if base.name != 'old.tests' and not lines(f'{base}.witness'):
        text += ', PATCH NOT IN FORCE'
    if any(line.startswith('hfx: ') for line in lines(f'{base}.out')):
        text += ', messages of hfx'
    return text


def short(name):
    return name if len(name) <= 60 else name[:57] + '...'


def function_text(merged):
    kinds = {}
    for function in merged['functions'].values():
        kinds.setdefault(function['kind'], []).append(function['name'])
    parts = []
    for kind in ('changed', 'new', 'removed', 'part'):
        names = kinds.get(kind, [])
        if not names:
            continue
        text = ', '.join(short(name) for name in names[:NAMES])
        if len(names) > NAMES:
            text += f' and {len(names) - NAMES} more'
        parts.append(f'{len(names)} {kind}: {text}')
    return '; '.join(parts) or 'none'


def refusal_text(merged):
    return '; '.join(f'{r["subject"]}: {r["reason"]}'
                     for r in merged['refusals'].values())


def label(package):
    """The package, and how it was built where that is not as usual."""
    toolchain = (lines(package / 'toolchain') or ['gcc -O2 -g'])[0]
    return package.name + ('' if toolchain == 'gcc -O2 -g'
                           else f' ({toolchain})')


def fix_row(package, row):
    first = merge(row / 'diff')
    final = merge(row / 'accepted') if (row / 'accepted').is_dir() else first
    date = time.gmtime((row / 'done').stat().st_mtime)
    new = row if (row / 'new.tests.result').exists() else package
    reference = lines(new / 'new.tests.result') or []
    failed = lines(row / 'failed') or []
    if failed:
        outcome = failed[0]
    elif final['errors']:
        outcome = 'FAILED: ' + final['errors'][0]
    elif final['refusals']:
        outcome = 'refused'
    elif first['refusals']:
        outcome = 'refused, then accepted'
    elif not final['functions']:
        outcome = 'nothing to patch'
    else:
        outcome = 'bundle'
    return {
        'package': label(package),
        'fix': ' + '.join(Path(name).stem for name in lines(row / 'fix')),
        'without': [name for name in lines(row / 'without') or [] if name],
        'outcome': outcome,
        'failed': bool(failed),
        'date': time.strftime('%Y-%m-%d', date),
        'generators': first['generators'],
        'functions': function_text(first),
        'count': sum(f['kind'] in ('changed', 'new')
                     for f in first['functions'].values()),
        'refused': refusal_text(first),
        'refused_still': refusal_text(final) if final is not first else '',
        'accepted': ', '.join(final['accepted']),
        'warnings': list(final['warnings']),
        'size': final['size'],
        'seconds': first['seconds'],
        'memory': first['memory'],
        'tests': passed_text(new / 'new.tests', reference),
        'old': tests_text(row / 'old.tests', reference),
        'patched': tests_text(row / 'patched', reference),
    }


def self_row(package):
    row = package / 'self'
    merged = merge(row / 'diff')
    reference = lines(package / 'new.tests.result') or []
    selected = sum(f['kind'] == 'changed'
                   for f in merged['functions'].values())
    return {
        'package': label(package),
        'version': (lines(package / 'version') or ['?'])[0],
        'files': ', '.join(Path(f).name for f in lines(package / 'files')),
        'outcome': merged['errors'][0] if merged['errors'] else '',
        'selected': selected,
        'skipped': merged['skipped'],
        'size': merged['size'],
        'seconds': merged['seconds'],
        'memory': merged['memory'],
        'tests': passed_text(package / 'new.tests', reference),
        'patched': tests_text(row / 'patched', reference),
    }


def rows(folder):
    package = Path(folder)
    mine = self_row(package)
    print(f'{mine["package"]} --all: {mine["selected"]} selected, '
          f'{mine["skipped"]} skipped, {mine["seconds"]:.2f} s, '
          f'{mine["tests"]} tests: {mine["patched"]} {mine["outcome"]}')
    for row in sorted(package.glob('fixes/*/done')):
        r = fix_row(package, row.parent)
        print(f'{r["package"]} {r["fix"]}: {r["outcome"]}')
        for key in ('functions', 'refused', 'accepted', 'refused_still',
                    'without'):
            if r[key]:
                print(f'    {key}: {r[key]}')
        for warning in r['warnings']:
            print(f'    warning: {warning}')
        print(f'    {r["size"]} bytes, {r["seconds"]:.2f} s, '
              f'{r["memory"] // 1024} MiB; {r["tests"]} tests: '
              f'old {r["old"]}, patched {r["patched"]}')
    return 0


def cell(text):
    return str(text).replace('|', '\\|').replace('\n', ' ')


def print_table(header, records):
    print('| ' + ' | '.join(header) + ' |')
    print('|' + '---|' * len(header))
    for record in records:
        print('| ' + ' | '.join(cell(value) for value in record) + ' |')
    print()


INTRODUCTION = '''# Real fixes

Fixes of Debian's source packages, most of them for security, each taken out of its
package (OLD) and put back (NEW). Both are built from one path with Debian 12's gcc,
`-O2 -g` and upstream's own configuration, and not as Debian builds them. Where a
later patch of the package builds upon a fix, both are without it. Rows of
packages with a compiler or flags after their names were built with these. Fixes that
were tried before the script made rows of those that do not build have none.

`scripts/realworld.sh PACKAGE PATCH...` makes rows, and `scripts/realworld.sh --table
WORK...` this page of the results in the folders WORK. Debian 12 with its package
sources is needed. How a package is built and tested, from which release it is, and
which of its tests are left out for the sake of time, is in
`scripts/realworld/PACKAGE.sh`; where there is no such file, it is guessed from what
the source has (`scripts/realworld/guess.sh`). Where a package has no tests that can be
used (unzip, libde265), what its programs print is compared instead, as the recipe says.

The packages and patches were chosen by hand, and recipes were written for those that
do not build by themselves. hfx was developed with many of them at hand, so they say
less of programs that it has not met. A row shows hfx as it was on the day when the
row was made; versions of a day are not told apart.

| column | meaning |
|---|---|
| result | what `hfx-bundle diff OLD NEW` said. `bundle`: it made one. `refused`: it did not. `refused, then accepted`: it did with the `--accept-type` and `--accept-data` that its refusals name. Whether accepting is right, a user has to judge; here the bundle is applied before the program runs, so that no old object is about. `nothing to patch`: both have the same code and data, since the fix is of what is not compiled here, or the compiler makes the same of it. `FAILED`: it gave no report. `does not build without it`, `lacks files without it`, `cannot be taken out`: there is no OLD |
| functions | changed and new ones, also those of test programs that are compared |
| bundle, bytes; diff, s | size of the bundles and wall time of the diffs, of all files that differ together. Others used the machine at the same time, so a time is an upper bound at best |
| tests | the package's own tests that pass with NEW; `stopped` where they took longer than `TEST_TIMEOUT` seconds, so that others may not have run |
| OLD | how many of these give another result with OLD as it is: most fixes come without a test. These run once, so a test that fails now and then counts, too |
| OLD and bundle | the same for OLD with the bundle applied at start-up, `-` where there is none. What differed is tried a second time, and counts when it differs again. That the bundle is in force is checked in the tests' processes |

Tests that start nothing but the program see whether new code is right, not what a
patch does to calls that are under way; `tests/live` and `tests/bundler` are for that.
'''


def count_of(count, text):
    return f'{count or "none"} {text}'


def print_text(text):
    print(textwrap.fill(text, 88, break_long_words=False,
                        break_on_hyphens=False) + '\n')


def summary(fixes, selves):
    outcomes = [r['outcome'] for r in fixes]
    tested = [r for r in fixes if r['patched'] != '-']
    bad = sum(r['patched'] != 'the same' for r in tested)
    seen = sum(r['old'] not in ('the same', '-') for r in tested)
    failed = sum(outcome.startswith('FAILED') for outcome in outcomes)
    dates = sorted({r['date'] for r in fixes})
    print(f'## Totals\n\n{len(fixes)} fixes of '
          f'{len({r["package"].split()[0] for r in fixes})} packages, made by '
          f'{", ".join(sorted(set().union(*(r["generators"] for r in fixes))))}'
          f' ({" to ".join(sorted({dates[0], dates[-1]}))}):\n')
    print(f'- {outcomes.count("bundle")} became bundles at once;')
    print(f'- {outcomes.count("refused, then accepted")} after types or '
          'variables were accepted by name;')
    print('- ' + count_of(outcomes.count("refused"), 'refused;'))
    print('- ' + count_of(outcomes.count("nothing to patch"),
                          'with nothing to patch;'))
    untried = sum(r['failed'] for r in fixes)
    if untried:
        print(f'- {untried} without an OLD to compare with;')
    print('- ' + count_of(failed, 'failed.\n'))
    print_text(f'Of the {len(tested)} that could be applied, '
               f'{bad or "none"} gave other results in the tests than NEW. '
               f'With OLD as it is, {seen} of the {len(fixes)} fixes give '
               'other results. Of '
               f'{sum(r["selected"] + r["skipped"] for r in selves)} functions '
               'that were to be replaced by copies of themselves, '
               f'{sum(r["skipped"] for r in selves)} were left out.')
    print('## Fixes\n')


def print_refused(fixes):
    print('## Refused, accepted, nothing to patch\n')
    for r in fixes:
        if r['outcome'] != 'bundle':
            print(f'- **{r["package"]} {r["fix"]}**: {r["outcome"]}'
                  f'{": " + r["refused"] if r["refused"] else ""}.')
            if r['accepted']:
                print(f'  Accepted: {r["accepted"]}.')
            if r['refused_still']:
                print(f'  Refused still: {r["refused_still"]}.')
    print()


def reasons(packages):
    """Why --all left functions out: reason -> names."""
    found = {}
    for package in packages:
        for report, _, _, _ in reports(package / 'self' / 'diff'):
            for entry in (report or {}).get('skipped', []):
                found.setdefault(entry['reason'], []).append(
                    f'{package.name}: `{short(entry["name"])}`')
    return found


def print_self(packages, selves):
    print('## Every function by its copy\n\n'
          '`hfx-bundle diff --all NEW NEW`, applied at start-up.\n')
    print_table(
        ('package', 'version', 'files', 'functions', 'left out',
         'bundle, bytes', 'diff, s', 'peak, MiB', 'tests', 'with the bundle'),
        ((r['package'], r['version'], r['files'], r['selected'], r['skipped'],
          r['size'], f'{r["seconds"]:.2f}', r['memory'] // 1024, r['tests'],
          r['patched']) for r in selves))
    print('Left out:\n')
    for reason, names in sorted(reasons(packages).items()):
        text = ', '.join(names[:NAMES])
        if len(names) > NAMES:
            text += f' and {len(names) - NAMES} more'
        print(f'- {reason}: {text}')
    print()


def print_reports(fixes):
    print('## Functions that were reported\n')
    for r in fixes:
        print(f'**{r["package"]} {r["fix"]}**: {r["functions"]}.')
        if r['without']:
            count = len(r['without'])
            print('Both builds are without '
                  f'{count} later patch{"es" if count > 1 else ""}.')
        print()


def table(*works):
    packages = sorted((path.parent.parent for work in works
                       for path in Path(work).glob('*/self/done')),
                      key=lambda path: path.name)
    fixes = [fix_row(package, row.parent) for package in packages
             for row in sorted(package.glob('fixes/*/done'))]
    selves = [self_row(package) for package in packages]
    print(INTRODUCTION)
    summary(fixes, selves)
    print_table(
        ('package', 'fix', 'result', 'functions', 'bundle, bytes', 'diff, s',
         'tests', 'OLD', 'OLD and bundle'),
        ((r['package'], r['fix'], r['outcome'], r['count'], r['size'] or '-',
          f'{r["seconds"]:.2f}', r['tests'], r['old'], r['patched'])
         for r in fixes))
    print_refused(fixes)
    print_self(packages, selves)
    print_reports(fixes)
    return 0


def main():
    commands = {'measure': measure, 'accept': accept, 'rows': rows,
                'table': table}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    return commands[sys.argv[1]](*sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
