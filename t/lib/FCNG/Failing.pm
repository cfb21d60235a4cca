# SPDX-License-Identifier: BSD-2-Clause
#
# A server whose memory or space runs out when the test says so (t/shim).
#
#   my $failing = FCNG::Failing->new($host, module => 'mod_fastcgi_ng');
#                             # before it starts; no module: the whole server
#   $failing->alloc(3);       # the third allocation from now fails
#   $failing->allocs;         # so many have failed since
#   $failing->space(0); ... $failing->space(1);
#   $failing->writes;         # so many have failed since
#   $failing->live;           # allocated and not freed, since it started; with
#                             # count => 1 only
package FCNG::Failing;

use strict;
use warnings;
use parent 'FCNG::Shim';

sub library { 'failing.so' }

sub missing {
    my ($class) = @_;
    return 'sanitizers have a malloc() of their own' if $ENV{FCNG_SAN};
    return 'valgrind has a malloc() of its own' if $ENV{FCNG_VALGRIND};
    return $class->SUPER::missing;
}

sub new {
    my ($class, $host, %how) = @_;
    my $dir = $host->dir;
    return $class->SUPER::new($host, 'FCNG_FAIL_CONTROL', {
        # APR looks for a folder with space elsewhere.
        FCNG_FAIL_FILES => "$dir/tmp/:/apr-tmp.:/fastcgi-ng.",
        $how{module} ? (FCNG_FAIL_MODULE => $how{module}) : () },
        (0) x 4, $how{count} ? 1 : 0, (0) x 5);
}

sub alloc { $_[0]->put(1, 0)->put(0, $_[1]) }
sub allocs { $_[0]->read_at(1) }
sub space { $_[0]->put(3, 0)->put(2, $_[1] ? 0 : 1) }
sub writes { $_[0]->read_at(3) }
sub live { $_[0]->read_at(5) }

1;
