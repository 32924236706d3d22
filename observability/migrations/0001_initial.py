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
    ]
