# SPDX-License-Identifier: BSD-2-Clause
#
# The tests pass in a clone below a folder that nobody but its owner may enter:
# servers that root starts serve as somebody else and do not come in.
use strict;
use warnings;
use FCNG::Util qw(run_bounded tmpdir top);
use File::Basename qw(basename);
use Test::More;

my $private = tmpdir() . '/private';
my $clone = "$private/clone";
mkdir $private or die "$private: $!\n";
chmod 0700, $private;
mkdir "$clone" or die "$clone: $!\n";
mkdir "$clone/out";
my %built = map { $_ => $ENV{$_} } grep { length($ENV{$_} // '') }
    qw(FCNG_APACHE_MODULE FCNG_NGINX_MODULE FCNG_APPS);
is(system('cp', '-R', top() . '/t', $clone), 0, 'the tests are copied');
is(system('cp', '-R', values %built, "$clone/out"), 0,
    'and what they need');

local $ENV{FCNG_TOP} = $clone;
local $ENV{FCNG_OUT} = "$clone/out";
local @ENV{keys %built} = map { "$clone/out/" . basename($_) } values %built;
chdir $clone or die "$clone: $!\n";
for my $test (qw(t/responder-get.t t/php.t t/file-filter-links.t)) {
    my ($rc, $out, $err) = run_bounded(120, $^X, '-It/lib', $test);
    is($rc, 0, $test) or diag("$out$err");
}
chdir '/';
done_testing();
