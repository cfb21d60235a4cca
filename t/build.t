#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The tools of build/ find what they are for: a checker that passes everything
# would look just as green.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename qw(dirname);
use File::Path 'make_path';
use File::Temp 'tempdir';
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/..');
my $dir = tempdir('fcng-build-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $spdx = "/* SPDX-License-Identifier: BSD-2-Clause */\n";

sub write_file {
    my ($name, $text) = @_;
    make_path(dirname("$dir/$name"));
    open my $out, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $text;
    close $out or die "$dir/$name: $!\n";
    return "$dir/$name";
}

sub run {
    my (@command) = @_;
    open my $pipe, '-|', 'sh', '-c', 'exec 2>&1; exec "$@"', 'sh', @command
        or die "@command: $!\n";
    local $/;
    my $said = <$pipe>;
    close $pipe;
    return $said // '';
}

# What a command says and its exit code.
sub outcome {
    my $said = run('sh', '-c', '"$@"; echo "exit=$?"', 'sh', @_);
    my ($code) = $said =~ /exit=(\d+)\s*\z/;
    return ($said, $code);
}

# ---- check-layers ---------------------------------------------------------

make_path("$dir/build");
run('cp', "$top/build/layers.txt", "$dir/build/");

sub layers_say {
    my ($file, $include, $wanted, $what) = @_;
    my $path = write_file($file, "$spdx#include $include\n");
    my ($said, $code) = outcome("$top/build/check-layers", $dir);
    if (defined $wanted) {
        like($said, qr/^# \Q$file\E:2: .*$wanted/m, $what);
        is($code, 1, "$what: exit code");
    }
    else { is($code, 0, $what) or diag($said) }
    unlink $path;
}

layers_say('core/src/fcng_conn.c', '"fcng_request.h"', undef, 'downwards');
layers_say('core/src/fcng_request.c', '"fcng_conn.h"', 'points from',
    'upwards');
layers_say('core/src/fcng_env.c', '"fcng_head.h"', 'points from',
    'across a floor');
layers_say('core/src/fcng_env.c', '"fcng_reader.h"', 'points from|denies',
    'a denied arrow');
layers_say('core/src/fcng_conn.c', '<unistd.h>', 'none of the headers',
    'POSIX in the core');
layers_say('mod_fastcgi_ng/mod_fastcgi_ng.c', '<fcng/fcng.h>', undef,
    'the public header');
layers_say('mod_fastcgi_ng/mod_fastcgi_ng.c', '"fcng_conn.h"',
    'not for adapters', 'insides in an adapter');
layers_say('mod_fastcgi_ng/mod_fastcgi_ng.c', '<ngx_core.h>',
    'another host', 'nginx in the Apache module');
layers_say('ngx_module/ngx_http_fastcgi_ng_module.c', '<apr_pools.h>',
    'another host', 'APR in the nginx module');

# ---- check-style ----------------------------------------------------------

sub style_says {
    my ($text, $wanted, $what, $file) = @_;
    $file //= 'style/core/src/fcng_buf.c';
    my $path = write_file($file, $text);
    my ($said, $code) = outcome("$top/build/check-style", "$dir/style");
    if (defined $wanted) {
        (my $name = $file) =~ s{^style/}{};
        like($said, qr/^# \Q$name\E.*$wanted/m, $what);
        is($code, 1, "$what: exit code");
    }
    else { is($code, 0, $what) or diag($said) }
    unlink $path;
}

my $short = join '', map "static int f$_(void)\n{\n    return $_;\n}\n\n", 1 .. 9;
style_says("$spdx$short", undef, 'short functions');
style_says($short, 'SPDX', 'no licence');
style_says("x\n", 'SPDX', "no licence in $_", "style/$_")
    for qw(.editorconfig build/x.map docs/samples/x.conf t/slow/x.t);
style_says("x\n", undef, "no licence in $_", "style/$_")
    for qw(LICENSE README.md docs/x.md out/x.c debian/x);
style_says("$spdx${short}static int\nlong_one(void)\n{\n"
    . "    ;\n" x 78 . "}\n", 'long_one\(\) has 82 lines', 'a long function');
style_says($spdx . '/* ' . 'x' x 80 . " */\n$short", '79 columns',
    'a wide line');
style_says("$spdx\tint x;\n$short", 'a tab', 'a tab');
style_says($spdx . "/* x */\n" x 600 . $short, 'more than 600', 'a long file');

# ---- run-tests ------------------------------------------------------------

my $good = write_file('good.t', "print \"1..2\\nok 1\\nok 2\\n\";\n");
my $bad = write_file('bad.t', "print \"1..2\\nok 1\\nnot ok 2 - x\\n\";\n");
my $skip = write_file('skip.t', "print \"1..0 # SKIP foo missing\\n\";\n");
my $part = write_file('part.t',
    "print \"1..2\\nok 1\\nok 2 # SKIP bar missing\\n\";\n");
my $dies = write_file('dies.t', "print \"1..1\\nok 1\\n\"; exit 3;\n");
my $hangs = write_file('hangs.t', "\$| = 1; print \"1..1\\n\"; sleep 60;\n");

sub tests_say {
    my ($files, $code, $line, $what, @env) = @_;
    my ($said, $got) = outcome('env', '-u', 'STRICT', @env,
        "$top/build/run-tests", @$files);
    is($got, $code, "run-tests: $what: exit code");
    like($said, qr/^\Q$line\E\nexit=/m, "run-tests: $what: last line");
    return $said;
}

tests_say([$good], 0, '2 passed, 0 failed', 'all pass');
tests_say([$good, $bad], 1, '3 passed, 1 failed', 'one fails');
my $said = tests_say(['-j', 2, $good, $skip, $part], 0,
    '3 passed, 0 failed, 2 skipped', 'some skip');
like($said, qr/^3 passed, 2 skipped: bar missing, foo missing$/m,
    'run-tests names what is missing');
tests_say([$good, $skip], 1, '2 passed, 1 failed', 'STRICT=1', 'STRICT=1');
tests_say([$dies], 1, '1 passed, 1 failed', 'a test that dies at its end');
tests_say(['-t', 1, $hangs], 1, '0 passed, 1 failed', 'a test that hangs');
tests_say(['-s', 'x missing', $good], 0, '2 passed, 0 failed, 1 skipped',
    'one left out');
my $env = write_file('env.t',
    'print "1..1\n", $ENV{A} . $ENV{B} eq "x1" ? "ok 1\n" : "not ok 1\n";');
tests_say(["$env\@A=x,B=1", "$env\@A=x,B=2"], 1, '1 passed, 1 failed',
    'variables');
tests_say([], 1, '0 passed, 0 failed', 'no test at all');

make_path("$dir/a b", "$dir/" . 'x' x 60);
for (['tmp', 'is no absolute path'], ["$dir/none", 'is no folder'],
    ["$dir/a b", "has ' ' in it"], ["$dir/" . 'x' x 60, 'is too long']) {
    my ($tmp, $wanted) = @$_;
    my ($said, $code) = outcome('env', "TMPDIR=$tmp", "$top/build/run-tests",
        $good);
    like($said, qr/^run-tests: TMPDIR=\Q$tmp\E \Q$wanted\E.*\nexit=2$/,
        "TMPDIR that $wanted");
}

# ---- folders that cannot be built in --------------------------------------

for my $name ('a b', "a'b", 'a:b', 'a$b', 'a,b', 'a=b') {
    make_path("$dir/$name");
    symlink "$top/$_", "$dir/$name/$_" for qw(Makefile build core t);
    my ($said, $code) = outcome('make', '-n', '-C', "$dir/$name", 'help');
    like($said, qr/\*\*\* make and nginx cannot build in a folder whose path/,
        "a clone in $name: refused");
    is($code, 2, "a clone in $name: exit code");
}
{
    make_path("$dir/a-b+c\@d~e%f");
    symlink "$top/$_", "$dir/a-b+c\@d~e%f/$_"
        for qw(Makefile build core t);
    my ($said, $code) = outcome('make', '-n', '-C', "$dir/a-b+c\@d~e%f",
        'help');
    is($code, 0, 'a clone in a-b+c@d~e%f') or diag($said);
}

# ---- dist -----------------------------------------------------------------

# An unpacked tarball that lies in some other repository is no clone.
{
    make_path("$dir/other/tar/core");
    symlink "$top/$_", "$dir/other/tar/$_" for qw(Makefile build);
    symlink "$top/core/$_", "$dir/other/tar/core/$_"
        for qw(include sources.list);
    run('git', 'init', '-q', "$dir/other");
    my ($said, $code) = outcome('make', '-s', '-C', "$dir/other/tar", 'dist');
    like($said, qr/^make dist needs a clone/m, 'dist in no clone: refused');
    is($code, 2, 'dist in no clone: exit code');
    ok(!-e "$dir/other/tar/out", 'dist in no clone: nothing is made');
}

done_testing();
