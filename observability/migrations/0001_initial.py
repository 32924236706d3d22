import core.ids
import observability.models.txid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Blob',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('digest', models.CharField(max_length=64)),
                ('size_bytes', models.BigIntegerField()),
                ('media_type', models.CharField(default='text/plain; charset=utf-8', max_length=100)),
                ('content', models.BinaryField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('workspace_id', 'digest'), name='blob_digest_once')],
            },
        ),
        migrations.CreateModel(
            name='TraceEvent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('sequence', models.BigIntegerField()),
                ('txid', models.BigIntegerField(db_default=observability.models.txid.CurrentTransaction(), editable=False)),
                ('kind', models.CharField(max_length=40)),
                ('at', models.DateTimeField()),
                ('payload', models.JSONField(default=dict)),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['workspace_id', 'txid', 'id'], name='trace_event_stream')],
                'constraints': [models.UniqueConstraint(fields=('run_id', 'sequence'), name='trace_event_sequence_once')],
            },
        ),
        migrations.CreateModel(
            name='UsageCursor',
            fields=[
                ('workspace_id', models.UUIDField(primary_key=True, serialize=False)),
                ('txid', models.BigIntegerField(default=0)),
                ('event_id', models.BigIntegerField(default=0)),
                ('folded_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='UsageHour',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('hour', models.DateTimeField()),
                ('agent', models.CharField(blank=True, max_length=63)),
                ('model', models.CharField(blank=True, max_length=200)),
                ('provider', models.CharField(blank=True, max_length=63)),
                ('user', models.CharField(blank=True, max_length=40)),
                ('calls', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cache_read_tokens', models.BigIntegerField(default=0)),
                ('cost_usd', models.DecimalField(decimal_places=8, default=0, max_digits=20)),
                ('unknown_calls', models.BigIntegerField(default=0)),
                ('unknown_input_tokens', models.BigIntegerField(default=0)),
                ('unknown_output_tokens', models.BigIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('workspace_id', 'hour', 'agent', 'model', 'provider', 'user'), name='usage_hour_once')],
            },
        ),
        migrations.CreateModel(
            name='Process',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=20)),
                ('host', models.CharField(max_length=200)),
                ('pid', models.IntegerField()),
                ('version', models.CharField(blank=True, max_length=40)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(db_index=True)),
                ('lag_seconds', models.FloatField(null=True)),
                ('lag_p99_seconds', models.FloatField(null=True)),
            ],
            options={
                'ordering': ('kind', 'host', 'pid'),
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('process_id', models.UUIDField()),
                ('process', models.CharField(max_length=240)),
                ('state', models.CharField(default='requested', max_length=20)),
                ('seconds', models.IntegerField()),
                ('rate', models.IntegerField()),
                ('with_idle', models.BooleanField(default=False)),
                ('requested_by', models.CharField(max_length=150)),
                ('requested_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('samples', models.BigIntegerField(default=0)),
                ('stacks', models.BinaryField(null=True)),
                ('problem', models.TextField(blank=True)),
                ('remedy', models.TextField(blank=True)),
            ],
            options={
                'ordering': ('-requested_at',),
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ('requested', 'running'))), fields=('process_id',), name='profile_one_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='SlowCallback',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('process_id', models.UUIDField()),
                ('process', models.CharField(max_length=240)),
                ('at', models.DateTimeField(db_index=True)),
                ('seconds', models.FloatField()),
                ('where', models.CharField(max_length=300)),
                ('stack', models.JSONField(default=list)),
            ],
            options={
                'ordering': ('-at',),
                'default_permissions': (),
                'indexes': [models.Index(fields=['process_id', 'at'], name='slow_callback_of_process')],
            },
        ),
    ]
