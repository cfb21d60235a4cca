# SPDX-License-Identifier: BSD-2-Clause
#
# A library of t/shim that is loaded into a server and obeys a file of numbers
# (FCNG::Failing, FCNG::Reads, FCNG::Sends).
package FCNG::Shim;

use strict;
use warnings;
use FCNG::Util qw(spew top built slurp);

# Why it cannot be had; nothing when it can.
sub missing {
    my ($class) = @_;
    return 'the shim is not built' if !built($class->shim);
    return;
}

sub shim {
    my ($class) = @_;
    return ($ENV{FCNG_APPS} || top() . '/out/apps') . '/' . $class->library;
}

# The library finds the file of |numbers| by the variable |control|, and |env|.
sub new {
    my ($class, $host, $control, $env, @numbers) = @_;
    my $self = bless { file => $host->dir . '/tmp/' . $class->library
            . '.control' }, $class;
    spew($self->{file}, pack 'l*', @numbers);
    chmod 0666, $self->{file};
    # The runtime of a sanitizer calls what stands behind it.
    $host->{env} = { LD_PRELOAD => join(':', $ENV{FCNG_PRELOAD} || (),
            $host->module_copy($class->shim)),
        $control => $self->{file}, %$env };
    return $self;
}

sub put {
    my ($self, $at, $value) = @_;
    open my $fh, '+<:raw', $self->{file} or die "$self->{file}: $!\n";
    sysseek $fh, 4 * $at, 0;
    syswrite $fh, pack 'l', $value;
    close $fh;
    return $self;
}

sub read_at {
    my ($self, $at) = @_;
    return (unpack 'l*', slurp($self->{file}))[$at];
}

1;
