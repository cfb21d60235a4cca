# SPDX-License-Identifier: BSD-2-Clause
#
# The same test against each server: FCNG::Hosts->each(sub { my ($host) = @_;
# ... }) runs the code as one subtest a server, ended by the host's checks.
# HOSTS or FCNG_HOSTS names the servers (nginx, apache; by comma or space).
package FCNG::Hosts;

use strict;
use warnings;
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use Test::More;

my %class = (nginx => 'FCNG::Host::Nginx', apache => 'FCNG::Host::Apache');

sub wanted {
    my @names = split /[\s,]+/, $ENV{HOSTS} || $ENV{FCNG_HOSTS}
        || 'nginx,apache';
    return grep { $class{$_} } @names;
}

# each([%how,] code): %how goes to the host's new(); only => 'apache' leaves
# the other out; can => 'multiplexes' those without that capability; needs =>
# 'protect' skips those that lack such a method.
sub each {
    my ($self, @args) = @_;
    my $code = pop @args;
    my %how = @args;
    my $only = delete $how{only};
    my $can = delete $how{can};
    my $needs = delete $how{needs};
    my @hosts = grep { (!$only || $_ eq $only)
        && (!$can || $class{$_}->$can) } wanted();
    plan skip_all => ($only // $can) . ' is not among the hosts to test'
        if !@hosts;
    for my $name (@hosts) {
        my $missing = $class{$name}->missing
            // ($needs && !$class{$name}->can($needs)
                ? "$name has no $needs" : undef);
        if ($missing) {
            SKIP: { skip $missing, 1 }
            next;
        }
        subtest $name => sub {
            my $host = $class{$name}->new(%how);
            eval { $code->($host); 1 } or fail("the test died: $@");
            $host->finish;
        };
    }
    done_testing();
}

1;
